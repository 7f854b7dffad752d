package databases_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"strings"
	"testing"

	"github.com/keyhatch/keyhatch/internal/testkit"
	"github.com/keyhatch/keyhatch/store/sqlstore"
	"modernc.org/sqlite"
)

// A panicker is a driver that panics at a statement.
type panicker struct {
	sqlite.Driver
	at string
}

func (p *panicker) Open(name string) (driver.Conn, error) {
	c, err := p.Driver.Open(name)
	return panickingConn{c, p.at}, err
}

type panickingConn struct {
	driver.Conn
	at string
}

func (c panickingConn) BeginTx(ctx context.Context, o driver.TxOptions) (driver.Tx, error) {
	return c.Conn.(driver.ConnBeginTx).BeginTx(ctx, o)
}

func (c panickingConn) ExecContext(ctx context.Context, q string, args []driver.NamedValue) (driver.Result, error) {
	if strings.Contains(q, c.at) {
		panic("a driver's own fault")
	}
	return c.Conn.(driver.ExecerContext).ExecContext(ctx, q, args)
}

func (c panickingConn) QueryContext(ctx context.Context, q string, args []driver.NamedValue) (driver.Rows, error) {
	return c.Conn.(driver.QueryerContext).QueryContext(ctx, q, args)
}

// if a driver panics during a write, no transaction stays open, since its lock would block
// all other writes.
func TestPanicLeavesNoTransaction(t *testing.T) {
	sql.Register("sqlite-panics", &panicker{at: "SET revoked_at"})
	db := testkit.OpenDB(t, "sqlite-panics", sqliteDSN(t))
	db.SetMaxOpenConns(1)
	s := sqlStore(t, sqlstore.SQLite, db)
	insert(t, s, record("o", "k1"))
	func() {
		defer func() {
			if recover() == nil {
				t.Error("the driver did not panic")
			}
		}()
		s.Revoke(t.Context(), "o", "k1", epoch, "leaked")
	}()
	if n := db.Stats().InUse; n != 0 {
		t.Fatalf("connections in use after a panic: got %d, want 0", n)
	}
	insert(t, s, record("o", "k2"))
}
