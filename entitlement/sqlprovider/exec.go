package sqlprovider

import (
	"context"
	"database/sql"
	"time"

	"github.com/keyhatch/keyhatch/internal/sqldb"
)

// writeTimeout bounds each write. It is shorter than lookBack, so that a Watch sees a
// write that had to wait.
const writeTimeout = 20 * time.Second

// retryBusy calls try again while it fails because of other statements.
func (p *Provider) retryBusy(ctx context.Context, try func() error) error {
	return sqldb.WithContextError(ctx, p.tables.RetryBusy(ctx, try))
}

// exec runs one statement, which is its own transaction, and returns the number
// of changed rows.
func (p *Provider) exec(ctx context.Context, statement string, args ...any) (n int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	err = p.retryBusy(ctx, func() error {
		result, err := p.pool.ExecContext(ctx, statement, args...)
		if err != nil {
			return err
		}
		n, err = result.RowsAffected()
		return err
	})
	return n, err
}

// collect returns the rows of a query.
func collect[T any](ctx context.Context, p *Provider, scan func(*sql.Rows) (T, error), query string, args ...any) (all []T, err error) {
	err = p.retryBusy(ctx, func() error {
		return p.pool.Call(func(c *sqldb.Call) (err error) {
			all, err = collectOnce(ctx, c, scan, query, args...)
			return err
		})
	})
	return all, err
}

func collectOnce[T any](ctx context.Context, c *sqldb.Call, scan func(*sql.Rows) (T, error), query string, args ...any) (all []T, err error) {
	rows, err := c.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		row, err := scan(rows)
		if err != nil && sqldb.IsEmpty(rows) {
			continue
		}
		if err != nil {
			return nil, err
		}
		all = append(all, row)
	}
	// Without this, a read that was cut off would look complete.
	return all, rows.Err()
}

// execOne is exec of a statement that must change a row.
func (p *Provider) execOne(ctx context.Context, statement string, args ...any) error {
	n, err := p.exec(ctx, statement, args...)
	if err == nil && n == 0 {
		err = sqldb.ErrSkipped
	}
	return err
}

func scanText(rows *sql.Rows) (s string, err error) {
	err = rows.Scan(&s)
	return s, err
}
