package sqlstore

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/keyhatch/keyhatch/store"
)

// A pool is a pool of connections that distinguishes two failures: other calls had all
// connections, or the server does not reply.
type pool struct {
	*sql.DB
	served atomic.Int64 // replies of the server to a read, to the lock of a write, or to a commit
}

// A call is a statement outside of a transaction.
type call struct {
	pool      *pool
	served    int64        // pool.served before the call
	first     driver.Value // the statement's first argument
	connected bool
}

// call runs do, which runs one statement.
func (p *pool) call(do func(*call) error) error {
	c := &call{pool: p, served: p.served.Load()}
	err := do(c)
	switch {
	case err == nil || errors.Is(err, store.ErrNotFound):
		p.served.Add(1)
		return err
	case c.connected:
		return err
	}
	return p.noConnection(c.served, err)
}

// noConnection returns the error of a call that got no connection. It is [store.ErrBusy] if
// the call's context ended while other calls had all connections, and the server replied
// to one of them, so that pool.served has grown. If it replied to none, it may be down.
func (p *pool) noConnection(served int64, err error) error {
	if !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, context.Canceled) {
		return err
	}
	s := p.Stats()
	if s.MaxOpenConnections == 0 || s.InUse < s.MaxOpenConnections {
		return err
	}
	err = fmt.Errorf("%w (all %d connections of the pool are in use)", err, s.MaxOpenConnections)
	if p.served.Load() > served {
		err = fmt.Errorf("%w: %w", store.ErrBusy, err)
	}
	return err
}

// mark replaces the first argument by the call. database/sql has no other way to show
// when a statement has its connection.
func (c *call) mark(args ...any) []any {
	c.first, args[0] = args[0], c
	return args
}

// Value implements [driver.Valuer]. It is called once the statement has its
// connection, and returns the first argument.
func (c *call) Value() (driver.Value, error) {
	c.connected = true
	return c.first, nil
}

func (c *call) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	return c.pool.QueryRowContext(ctx, query, c.mark(args...)...)
}

func (c *call) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	return c.pool.QueryContext(ctx, query, c.mark(args...)...)
}

func (c *call) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	return c.pool.ExecContext(ctx, query, c.mark(args...)...)
}
