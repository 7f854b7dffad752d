package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/keyhatch/keyhatch/internal/guard"
	"github.com/keyhatch/keyhatch/store"
)

// Patience is how long a call goes on trying again after it was refused because
// of others, if its context does not end sooner. How long a statement waits for
// a lock before that is up to the context and to the database.
const (
	patience   = 5 * time.Second
	grace      = 50 * time.Millisecond // for what ends with its context by itself, and better
	firstPause = time.Millisecond
	longPause  = 4 * time.Millisecond // or a busy SQLite file goes to whoever had it last
)

// write runs do in a transaction that is the only writer of the owner's rows,
// and leaves the record that do returns. Do gets the instant by which it judges: at,
// or the owner's latest instant if that is later. It may run several times, but
// only one of them takes effect.
func (s *Store) write(ctx context.Context, owner string, at time.Time, do func(*sql.Tx, time.Time) (store.Record, error)) error {
	began := time.Now()
	return s.leave(ctx, func(tx *sql.Tx) (store.Record, error) {
		latest, err := s.lock(ctx, tx, owner, at, began)
		if err != nil {
			return store.Record{}, err
		}
		return do(tx, latest)
	})
}

// leave runs do in a transaction that leaves the record that do returns.
func (s *Store) leave(ctx context.Context, do func(*sql.Tx) (store.Record, error)) error {
	var left store.Record
	err := s.transact(ctx, func(tx *sql.Tx) (err error) {
		left, err = do(tx)
		return err
	})
	if errors.Is(err, errCommit) && s.holds(ctx, left) {
		return nil
	}
	return err
}

// lock makes the transaction, of a call that began then, the only writer of the
// owner's rows. It moves the owner's latest instant forward to at, and returns it.
func (s *Store) lock(ctx context.Context, tx *sql.Tx, owner string, at, began time.Time) (latest time.Time, err error) {
	ask := func() (err error) {
		latest, err = s.advance(ctx, tx, owner, at)
		return err
	}
	// It keeps its connection while it asks again, so not where readers need that.
	if !s.dialect.lockAgain || s.reads == s.writes {
		err = ask()
		return latest, err
	}
	// To wait for others of this Store is no reason to give up, but where none of
	// them gets the lock either, all give up together and not one after the other.
	if last := s.locked.Load(); last != nil && last.After(began) {
		began = *last
	}
	err = s.patientlySince(ctx, began, ask)
	if err == nil {
		now := time.Now()
		s.locked.Store(&now)
	}
	return latest, err
}

// advance runs the statement that locks, and reads what it left.
func (s *Store) advance(ctx context.Context, tx *sql.Tx, owner string, at time.Time) (time.Time, error) {
	args := []any{owner, at.UnixMicro()}
	row := func() *sql.Row { return tx.QueryRowContext(ctx, s.sql.lock, args...) }
	if s.sql.latest != "" {
		if _, err := tx.ExecContext(ctx, s.sql.lock, args...); err != nil {
			return time.Time{}, err
		}
		row = func() *sql.Row { return tx.QueryRowContext(ctx, s.sql.latest, owner) }
	}
	var latest int64
	err := row().Scan(&latest)
	if errors.Is(err, sql.ErrNoRows) || err == nil && latest < at.UnixMicro() {
		err = errSkipped
	}
	return time.UnixMicro(latest).UTC(), err
}

// These say that a statement succeeded and did not do what it says.
var (
	errSkipped = errors.New("the database skipped a write: use no triggers and no rules on keyhatch's tables that skip writes")
	errAltered = errors.New("the database changed the row when it was written: use a strict sql_mode, and no triggers on keyhatch's tables that change rows")
)

// change runs a statement that leaves these records of one owner changed. It
// returns an error unless the database then holds them so.
func (s *Store) change(ctx context.Context, tx *sql.Tx, statement string, args []any, left ...store.Record) error {
	var rows []store.Record
	var err error
	if !s.dialect.readBack {
		rows, err = ownedBy(ctx, tx, left[0].Owner, statement+s.sql.returning, args...)
	} else if _, err = tx.ExecContext(ctx, statement, args...); err == nil {
		rows, err = s.readBack(ctx, tx, left)
	}
	switch {
	case err != nil:
		return err
	case len(rows) < len(left):
		return errSkipped
	case !sameRecords(rows, left):
		return errAltered
	}
	return nil
}

// readBack reads records by their digests.
func (s *Store) readBack(ctx context.Context, tx *sql.Tx, left []store.Record) ([]store.Record, error) {
	digests := make([]any, len(left))
	for i := range left {
		digests[i] = left[i].Digest[:]
	}
	return ownedBy(ctx, tx, left[0].Owner, s.byDigests(len(left)), digests...)
}

// errCommit says that it is unknown whether a write took effect.
var errCommit = errors.New("commit failed, the write may have happened")

func (s *Store) transact(ctx context.Context, do func(*sql.Tx) error) error {
	var tx *sql.Tx
	err := s.patiently(ctx, func() (err error) {
		tx, err = s.attempt(ctx, do)
		return err
	})
	if err != nil {
		return err
	}
	// Not tried again, since it may have happened.
	if err := within(ctx, tx.Commit); err != nil {
		return fmt.Errorf("%w: %w", errCommit, err)
	}
	s.writes.served.Add(1)
	return nil
}

// holds reports whether the record is there as it was to be left. It looks
// where was written: another pool might lag behind.
func (s *Store) holds(ctx context.Context, left store.Record) bool {
	r, err := one(s.writes.QueryRowContext(ctx, s.sql.lookup, left.Digest[:]))
	return err == nil && same(r, left)
}

func (s *Store) attempt(ctx context.Context, do func(*sql.Tx) error) (*sql.Tx, error) {
	served := s.writes.served.Load()
	tx, err := s.writes.BeginTx(ctx, &sql.TxOptions{Isolation: s.dialect.isolation})
	if err != nil {
		return nil, s.writes.unserved(served, interrupted(ctx, err))
	}
	begun := tx
	defer func() { // also when the driver panics
		if begun != nil {
			within(ctx, begun.Rollback) // the first error says more
		}
	}()
	if err := do(tx); err != nil {
		return nil, err
	}
	begun = nil
	return tx, nil
}

// within ends a transaction, or gives up on that when the context ends: most
// drivers wait for a server that does not answer for as long as TCP does.
func within(ctx context.Context, end func() error) error {
	done := make(chan error, 1)
	go func() { done <- guard.Run(end) }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	select {
	case err := <-done:
		return err
	case <-time.After(grace):
		return ctx.Err()
	}
}

// patiently calls try until it does not fail because of other transactions.
func (s *Store) patiently(ctx context.Context, try func() error) error {
	return s.patientlySince(ctx, time.Now(), try)
}

// patientlySince does so until patience has passed since then.
func (s *Store) patientlySince(ctx context.Context, began time.Time, try func() error) error {
	giveUp := began.Add(patience)
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
	if err == nil || ctx.Err() == nil || errors.Is(err, ctx.Err()) {
		return err
	}
	return fmt.Errorf("%w: %w", ctx.Err(), err)
}
