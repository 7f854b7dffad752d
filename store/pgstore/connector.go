package pgstore

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
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

// Connect adds to a timeout error whether all connections were in use, so that it
// can be told from a server that does not reply.
func (c connector) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := c.Connector.Connect(ctx)
	if err == nil || ctx.Err() == nil {
		return conn, err
	}
	if stat := c.pool.Stat(); stat.AcquiredConns() == stat.MaxConns() {
		err = fmt.Errorf("all %d connections were in use: %w", stat.MaxConns(), err)
	}
	return nil, err
}
