package pgstore

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
)

// openDB is stdlib.OpenDBFromPool with a connector that explains itself.
func openDB(pool *pgxpool.Pool) *sql.DB {
	db := sql.OpenDB(connector{stdlib.GetPoolConnector(pool), pool})
	db.SetMaxIdleConns(0) // the pool keeps them
	return db
}

type connector struct {
	driver.Connector
	pool *pgxpool.Pool
}

// Connect tells a call that waited in vain for others from one whose server
// did not answer.
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
