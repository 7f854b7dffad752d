package sqlstore

import (
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"time"
)

// Patience is how long a call goes on trying while others hold a lock, if its
// context does not end sooner.
const (
	patience   = 5 * time.Second
	firstPause = time.Millisecond
	longPause  = 32 * time.Millisecond
)

// write runs do in a transaction that is the only writer of the owner's rows.
// It may run do several times, but only one of them takes effect.
func (s *Store) write(ctx context.Context, owner string, do func(*sql.Tx) error) error {
	lock := func(tx *sql.Tx) error { return s.dialect.lock(ctx, tx, s.table, owner) }
	return s.transact(ctx, lock, do)
}

func (s *Store) transact(ctx context.Context, steps ...func(*sql.Tx) error) error {
	var tx *sql.Tx
	err := s.patiently(ctx, func() (err error) {
		tx, err = s.attempt(ctx, steps)
		return err
	})
	if err != nil {
		return err
	}
	// Not tried again: when a commit fails, nobody knows what became of it.
	return tx.Commit()
}

func (s *Store) attempt(ctx context.Context, steps []func(*sql.Tx) error) (*sql.Tx, error) {
	tx, err := s.writes.BeginTx(ctx, &sql.TxOptions{Isolation: s.dialect.isolation})
	if err != nil {
		return nil, interrupted(ctx, err)
	}
	for _, step := range steps {
		if err := step(tx); err != nil {
			tx.Rollback() // the first error says more
			return nil, err
		}
	}
	return tx, nil
}

// patiently calls try until it does not fail because of other transactions.
func (s *Store) patiently(ctx context.Context, try func() error) error {
	giveUp := time.Now().Add(patience)
	for pause := firstPause; ; pause = min(2*pause, longPause) {
		err := try()
		if err == nil || !s.dialect.busy(err) || time.Now().After(giveUp) {
			return err
		}
		select {
		case <-ctx.Done():
			return interrupted(ctx, err)
		case <-time.After(pause/2 + rand.N(pause)): // so that two do not meet again
		}
	}
}

// interrupted adds the context's error to one that a driver gave in its place.
func interrupted(ctx context.Context, err error) error {
	if ctx.Err() == nil {
		return err
	}
	return fmt.Errorf("%w: %w", ctx.Err(), err)
}
