package pgstore

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/keyhatch/keyhatch/store"
)

// openDB is like stdlib.OpenDBFromPool, but its connector returns better errors.
func openDB(pool *pgxpool.Pool) *sql.DB {
	db := sql.OpenDB(connector{stdlib.GetPoolConnector(pool), pool})
	db.SetMaxIdleConns(0) // the pool keeps idle connections
	return db
}

type connector struct {
	driver.Connector
	pool *pgxpool.Pool
}

// Connect returns store.ErrBusy if the context ended while all connections were in use
// and other calls obtained one meanwhile. If no call did, it returns an outage error.
// Both errors say that all connections were in use, which distinguishes them from the
// error of a server that does not reply.
func (c connector) Connect(ctx context.Context) (driver.Conn, error) {
	before := c.pool.Stat().AcquireCount()
	conn, err := c.Connector.Connect(ctx)
	if err == nil || ctx.Err() == nil {
		return conn, err
	}
	if stat := c.pool.Stat(); stat.AcquiredConns() == stat.MaxConns() {
		err = fmt.Errorf("all %d connections were in use: %w", stat.MaxConns(), err)
		if stat.AcquireCount() > before {
			err = fmt.Errorf("%w: %w", store.ErrBusy, err)
		}
	}
	return nil, err
}
