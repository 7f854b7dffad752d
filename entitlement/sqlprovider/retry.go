package sqlprovider

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/keyhatch/keyhatch/internal/sqldb"
)

// retryTimeout is how long a call is retried after it failed because of other
// statements, unless its context ends sooner.
const (
	retryTimeout = 5 * time.Second
	firstPause   = time.Millisecond
	longPause    = 4 * time.Millisecond // with longer pauses, the process that last held a busy SQLite file gets it again

	// writeTimeout is shorter than overlap, so that a Watch sees a write that
	// had to wait.
	writeTimeout = 20 * time.Second
)

// retryBusy calls try again while it fails because of other statements.
func (p *Provider) retryBusy(ctx context.Context, try func() error) error {
	giveUp := time.Now().Add(retryTimeout)
	for pause := firstPause; ; pause = min(2*pause, longPause) {
		err := try()
		if err == nil || !p.dialect.isBusy(err) || time.Now().After(giveUp) {
			return withContextError(ctx, err)
		}
		select {
		case <-ctx.Done():
			return withContextError(ctx, err)
		case <-time.After(pause):
		}
	}
}

// withContextError adds the context's error if a driver returned another one
// instead.
func withContextError(ctx context.Context, err error) error {
	if err == nil || ctx.Err() == nil || errors.Is(err, ctx.Err()) {
		return err
	}
	return fmt.Errorf("%w: %w", ctx.Err(), err)
}

// errSkipped reports that a statement succeeded without effect.
var errSkipped = errors.New("the database skipped a write: use no triggers and no rules on keyhatch's tables that skip writes")

// exec runs one statement, which is its own transaction, and returns the number
// of changed rows.
func (p *Provider) exec(ctx context.Context, statement string, args ...any) (n int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	err = p.retryBusy(ctx, func() error {
		result, err := p.db.ExecContext(ctx, statement, args...)
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
	err = p.retryBusy(ctx, func() (err error) {
		all, err = collectOnce(ctx, p.db, scan, query, args...)
		return err
	})
	return all, err
}

func collectOnce[T any](ctx context.Context, db *sql.DB, scan func(*sql.Rows) (T, error), query string, args ...any) (all []T, err error) {
	rows, err := db.QueryContext(ctx, query, args...)
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
