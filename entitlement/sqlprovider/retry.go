package sqlprovider

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/keyhatch/keyhatch/internal/sqldb"
)

// Patience is how long a call goes on trying again after it was refused because
// of others, if its context does not end sooner.
const (
	patience   = 5 * time.Second
	firstPause = time.Millisecond
	longPause  = 4 * time.Millisecond // or a busy SQLite file goes to whoever had it last

	// writeTimeout is below what a Watch looks back, so that a write that had to
	// wait is not committed unseen.
	writeTimeout = 20 * time.Second
)

// patiently calls try until it does not fail because of other statements.
func (p *Provider) patiently(ctx context.Context, try func() error) error {
	giveUp := time.Now().Add(patience)
	for pause := firstPause; ; pause = min(2*pause, longPause) {
		err := try()
		if err == nil || !p.dialect.busy(err) || time.Now().After(giveUp) {
			return interrupted(ctx, err)
		}
		select {
		case <-ctx.Done():
			return interrupted(ctx, err)
		case <-time.After(pause):
		}
	}
}

// interrupted adds the context's error to one that a driver gave in its place.
func interrupted(ctx context.Context, err error) error {
	if err == nil || ctx.Err() == nil || errors.Is(err, ctx.Err()) {
		return err
	}
	return fmt.Errorf("%w: %w", ctx.Err(), err)
}

// exec runs one statement, which is a transaction of its own, and returns how
// many rows it changed.
func (p *Provider) exec(ctx context.Context, statement string, args ...any) (n int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	err = p.patiently(ctx, func() error {
		result, err := p.db.ExecContext(ctx, statement, args...)
		if err != nil {
			return err
		}
		n, err = result.RowsAffected()
		return err
	})
	return n, err
}

// collect reads the rows that a query has for an answer.
func collect[T any](ctx context.Context, p *Provider, scan func(*sql.Rows) (T, error), query string, args ...any) (all []T, err error) {
	err = p.patiently(ctx, func() (err error) {
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
	// Without this, a read that broke off halfway would pass for a whole one.
	return all, rows.Err()
}
