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

// openDB is stdlib.OpenDBFromPool with a connector that returns better errors.
func openDB(pool *pgxpool.Pool) *sql.DB {
	db := sql.OpenDB(connector{stdlib.GetPoolConnector(pool), pool})
	db.SetMaxIdleConns(0) // the pool keeps idle connections
	return db
}

type connector struct {
	driver.Connector
	pool *pgxpool.Pool
}

// Connect returns store.ErrBusy if all connections were in use until the context
// ended although other calls got one. It is an outage if none of them did. The error
// also says that all connections were in use, so that it can be told from a server
// that does not reply.
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
