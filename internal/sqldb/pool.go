package sqldb

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"weak"

	"github.com/keyhatch/keyhatch/store"
)

// A Pool is a pool of connections that distinguishes two failures: other calls had all
// connections, or the server does not reply. Create it with [NewPool].
type Pool struct {
	*sql.DB
	replies *atomic.Int64 // number of replies of the server to a read, to the lock of a write, or to a commit
}

// NewPool returns a Pool of db's connections. Pools of the same db count replies together,
// since their calls wait for the same connections.
func NewPool(db *sql.DB) *Pool {
	key := weak.Make(db)
	replies, found := repliesOf.LoadOrStore(key, new(atomic.Int64))
	if !found {
		runtime.AddCleanup(db, func(key weak.Pointer[sql.DB]) { repliesOf.Delete(key) }, key)
	}
	return &Pool{DB: db, replies: replies.(*atomic.Int64)}
}

// repliesOf holds the Pool.replies of each sql.DB. It is global because the packages that
// share a sql.DB have nothing else in common.
var repliesOf sync.Map // from weak.Pointer[sql.DB] to *atomic.Int64

// CountReply counts a reply of the server to a statement that is not a [Call].
func (p *Pool) CountReply() { p.replies.Add(1) }

// Call runs do, which runs one statement. The error matches [store.ErrBusy] if the
// statement got no connection because other calls had all of them.
func (p *Pool) Call(do func(*Call) error) error {
	c := &Call{pool: p.DB}
	replies := p.replies.Load()
	err := do(c)
	switch {
	case err == nil || errors.Is(err, store.ErrNotFound):
		p.CountReply()
		return err
	case c.connected:
		return err
	}
	return p.noConnection(replies, err)
}

// BeginTx begins a transaction. Its error matches [store.ErrBusy] as that of Call does.
func (p *Pool) BeginTx(ctx context.Context, opts *sql.TxOptions) (*sql.Tx, error) {
	replies := p.replies.Load()
	tx, err := p.DB.BeginTx(ctx, opts)
	if err != nil {
		err = p.noConnection(replies, WithContextError(ctx, err))
	}
	return tx, err
}

// noConnection returns the error of a call that got no connection. It is [store.ErrBusy] if
// the call's context ended while other calls had all connections, and the server replied
// to one of them, which increases p.replies. If the server replied to none of them, it may
// be down.
func (p *Pool) noConnection(replies int64, err error) error {
	if !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, context.Canceled) {
		return err
	}
	s := p.Stats()
	if s.MaxOpenConnections == 0 || s.InUse < s.MaxOpenConnections {
		return err
	}
	err = fmt.Errorf("%w (all %d connections of the pool are in use)", err, s.MaxOpenConnections)
	if p.replies.Load() > replies {
		err = fmt.Errorf("%w: %w", store.ErrBusy, err)
	}
	return err
}

// A Call is a statement outside of a transaction. The statement needs an argument, and the
// first one must be a [driver.Value].
type Call struct {
	pool      *sql.DB
	connected bool
}

// Watch replaces the arguments of the statement, so that the Call notices when the statement has
// a connection. The other methods of Call call Watch themselves.
func (c *Call) Watch(args ...any) []any {
	return append([]any{watched{args[0], c}}, args[1:]...)
}

// QueryRowContext is the method of [sql.DB].
func (c *Call) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	return c.pool.QueryRowContext(ctx, query, c.Watch(args...)...)
}

// QueryContext is the method of [sql.DB].
func (c *Call) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	return c.pool.QueryContext(ctx, query, c.Watch(args...)...)
}

// ExecContext is the method of [sql.DB].
func (c *Call) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	return c.pool.ExecContext(ctx, query, c.Watch(args...)...)
}

// A watched argument tells its Call that the statement has a connection. database/sql
// asks for the value then, and has no other way to show that there is a connection.
type watched struct {
	value driver.Value
	call  *Call
}

// Value implements [driver.Valuer].
func (w watched) Value() (driver.Value, error) {
	w.call.connected = true
	return w.value, nil
}
