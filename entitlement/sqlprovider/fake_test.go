package sqlprovider_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"io"
	"sync"
	"testing"

	"github.com/keyhatch/keyhatch/entitlement"
	"github.com/keyhatch/keyhatch/entitlement/sqlprovider"
	"github.com/keyhatch/keyhatch/store/sqlstore"
)

// A fake is a database that returns the given rows for every query, and changes
// one row for every other statement.
type fake struct {
	mu         sync.Mutex
	rows       [][]driver.Value
	err        error
	statements []string
	args       [][]driver.NamedValue
}

func (f *fake) setResult(rows [][]driver.Value, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.rows, f.err = rows, err
}

func (f *fake) run(statement string, args []driver.NamedValue) ([][]driver.Value, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.statements, f.args = append(f.statements, statement), append(f.args, args)
	return f.rows, f.err
}

// count returns the number of statements.
func (f *fake) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.statements)
}

// argument returns the first argument of the nth statement, counted from 0.
func (f *fake) argument(n int) driver.Value {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.args[n][0].Value
}

func (f *fake) Connect(context.Context) (driver.Conn, error) { return fakeConn{f}, nil }
func (f *fake) Driver() driver.Driver                        { return nil }

type fakeConn struct{ *fake }

func (fakeConn) Prepare(string) (driver.Stmt, error) { return nil, errors.New("fake: Prepare") }
func (fakeConn) Begin() (driver.Tx, error)           { return nil, errors.New("fake: Begin") }
func (fakeConn) Close() error                        { return nil }

func (c fakeConn) ExecContext(_ context.Context, statement string, args []driver.NamedValue) (driver.Result, error) {
	_, err := c.run(statement, args)
	return driver.RowsAffected(1), err
}

func (c fakeConn) QueryContext(_ context.Context, statement string, args []driver.NamedValue) (driver.Rows, error) {
	rows, err := c.run(statement, args)
	columns := 0
	if len(rows) > 0 {
		columns = len(rows[0])
	}
	return &fakeRows{make([]string, columns), rows}, err
}

type fakeRows struct {
	columns []string
	rest    [][]driver.Value
}

func (r *fakeRows) Columns() []string { return r.columns }

func (*fakeRows) Close() error { return nil }

func (r *fakeRows) Next(to []driver.Value) error {
	if len(r.rest) == 0 {
		return io.EOF
	}
	copy(to, r.rest[0])
	r.rest = r.rest[1:]
	return nil
}

func newCatalog(t *testing.T) *entitlement.Catalog {
	t.Helper()
	c, err := entitlement.NewCatalog(map[string]entitlement.Entitlement{"pro": {APIAccess: true, MaxKeys: 5}, "free": {}})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// open returns a Provider on a fake.
func open(t *testing.T, f *fake, o *sqlprovider.Options) *sqlprovider.Provider {
	t.Helper()
	db := sql.OpenDB(f)
	t.Cleanup(func() { db.Close() })
	p, err := sqlprovider.New(db, sqlstore.SQLite, newCatalog(t), o)
	if err != nil {
		t.Fatal(err)
	}
	return p
}
