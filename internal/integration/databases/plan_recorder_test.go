package databases_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
)

// A sent statement is a statement that a Store has sent, with the values of its first call.
type sent struct {
	text   string
	values []driver.NamedValue
}

// A recorder wraps a driver and records its statements.
type recorder struct {
	driver.Connector
	mu   sync.Mutex
	seen []sent
}

func (r *recorder) Connect(ctx context.Context) (driver.Conn, error) {
	c, err := r.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	return &recordingConn{c, r}, nil
}

func (r *recorder) record(text string, values []driver.NamedValue) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range r.seen {
		if s.text == text {
			return
		}
	}
	for i := range values { // pgx converts these values itself
		if v, ok := values[i].Value.(driver.Valuer); ok {
			values[i].Value, _ = v.Value()
		}
	}
	r.seen = append(r.seen, sent{text, values})
}

type recordingConn struct {
	driver.Conn
	to *recorder
}

func (c *recordingConn) BeginTx(ctx context.Context, o driver.TxOptions) (driver.Tx, error) {
	return c.Conn.(driver.ConnBeginTx).BeginTx(ctx, o)
}

func (c *recordingConn) CheckNamedValue(v *driver.NamedValue) error {
	return c.Conn.(driver.NamedValueChecker).CheckNamedValue(v)
}

func (c *recordingConn) ExecContext(ctx context.Context, q string, args []driver.NamedValue) (driver.Result, error) {
	c.to.record(q, args)
	return c.Conn.(driver.ExecerContext).ExecContext(ctx, q, args)
}

func (c *recordingConn) QueryContext(ctx context.Context, q string, args []driver.NamedValue) (driver.Rows, error) {
	c.to.record(q, args)
	return c.Conn.(driver.QueryerContext).QueryContext(ctx, q, args)
}

func (c *recordingConn) PrepareContext(ctx context.Context, q string) (driver.Stmt, error) {
	st, err := c.Conn.(driver.ConnPrepareContext).PrepareContext(ctx, q)
	return &recordingStmt{st, c.to, q}, err
}

// A recordingStmt is a prepared statement.
type recordingStmt struct {
	driver.Stmt
	to   *recorder
	text string
}

func (s *recordingStmt) CheckNamedValue(v *driver.NamedValue) error {
	return s.Stmt.(driver.NamedValueChecker).CheckNamedValue(v)
}

func (s *recordingStmt) ExecContext(ctx context.Context, args []driver.NamedValue) (driver.Result, error) {
	s.to.record(s.text, args)
	return s.Stmt.(driver.StmtExecContext).ExecContext(ctx, args)
}

func (s *recordingStmt) QueryContext(ctx context.Context, args []driver.NamedValue) (driver.Rows, error) {
	s.to.record(s.text, args)
	return s.Stmt.(driver.StmtQueryContext).QueryContext(ctx, args)
}

// recorded returns a pool of connections whose statements are recorded.
func recorded(t testing.TB, c driver.Connector) (*sql.DB, *recorder) {
	t.Helper()
	r := &recorder{Connector: c}
	db := sql.OpenDB(r)
	db.SetMaxOpenConns(2)
	t.Cleanup(func() { db.Close() })
	return db, r
}

func postgresConnector(t testing.TB, dsn string) driver.Connector {
	t.Helper()
	config, err := pgx.ParseConfig(dsn)
	if err != nil {
		t.Fatal(err)
	}
	return stdlib.GetConnector(*config)
}

func mysqlConnector(t testing.TB, dsn string) driver.Connector {
	t.Helper()
	c, err := mysql.NewConnector(parsedMySQL(dsn))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// literals returns the values as SQL literals. bytes is the database's format of bytes.
func (s sent) literals(bytes string) []string {
	var texts []string
	for _, v := range s.values {
		switch v := v.Value.(type) {
		case nil:
			texts = append(texts, "NULL")
		case []byte:
			texts = append(texts, fmt.Sprintf(bytes, v))
		case string:
			texts = append(texts, "'"+strings.ReplaceAll(v, "'", "''")+"'")
		default:
			texts = append(texts, fmt.Sprint(v))
		}
	}
	return texts
}

// line returns the statement without line breaks.
func (s sent) line() string { return strings.Join(strings.Fields(s.text), " ") }
