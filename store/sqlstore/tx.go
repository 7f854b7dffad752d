package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/keyhatch/keyhatch/internal/sqldb"
	"github.com/keyhatch/keyhatch/store"
)

// write runs do in a transaction that is the only writer of the owner's rows. do must
// return one of the records that it has written. It receives the instant at which the
// write takes effect: at, or the owner's latest instant if that is later. do may run
// several times, but only one run takes effect.
func (s *Store) write(ctx context.Context, owner string, at time.Time, do func(*sql.Tx, time.Time) (store.Record, error)) error {
	began := time.Now()
	return s.commit(ctx, func(tx *sql.Tx) (store.Record, error) {
		latest, err := s.lock(ctx, tx, owner, at, began)
		if err != nil {
			return store.Record{}, err
		}
		return do(tx, latest)
	})
}

// commit runs do in a transaction. If the commit fails, it reads the record that do
// returned, to find out whether the transaction was committed.
func (s *Store) commit(ctx context.Context, do func(*sql.Tx) (store.Record, error)) error {
	var written store.Record
	err := s.transact(ctx, func(tx *sql.Tx) (err error) {
		written, err = do(tx)
		return err
	})
	if errors.Is(err, errCommit) && s.hasRecord(ctx, written) {
		return nil
	}
	return err
}

// lock makes the transaction the only writer of the owner's rows. It advances the
// owner's latest instant to at, unless at is earlier, and returns the latest
// instant. began is the time at which the call began.
func (s *Store) lock(ctx context.Context, tx *sql.Tx, owner string, at, began time.Time) (latest time.Time, err error) {
	ask := func() (err error) {
		latest, err = s.advance(ctx, tx, owner, at)
		return err
	}
	// The transaction keeps its connection while it waits for the lock. It must not wait
	// if readers need the same connections.
	if !s.dialect.lockAgain || s.reads == s.writes {
		err = ask()
		return latest, err
	}
	// A call that waits for other calls of this Store must not give up. But if none of
	// them gets the lock, all must give up at the same time, and not one after the other.
	if last := s.locked.Load(); last != nil && last.After(began) {
		began = *last
	}
	err = s.tables.RetryBusySince(ctx, began, ask)
	if err == nil {
		now := time.Now()
		s.locked.Store(&now)
	}
	return latest, err
}

// advance runs the statement that locks, and returns the owner's latest instant.
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
		err = sqldb.ErrSkipped
	}
	if err == nil {
		s.writes.CountReply() // even if the transaction is rolled back, as at a limit
	}
	return time.UnixMicro(latest).UTC(), err
}

// errAltered is the error of a statement that succeeded but wrote other values.
var errAltered = errors.New("the database changed the row when it was written: use a strict sql_mode, and remove triggers that change the rows of keyhatch's tables")

// change runs a statement that changes records of one owner. It returns an error unless
// the database then has the records in want.
func (s *Store) change(ctx context.Context, tx *sql.Tx, statement string, args []any, want ...store.Record) error {
	var rows []store.Record
	var err error
	if !s.dialect.readBack {
		rows, err = ownedBy(ctx, tx, want[0].Owner, statement+s.sql.returning, args...)
	} else if _, err = tx.ExecContext(ctx, statement, args...); err == nil {
		rows, err = s.readBack(ctx, tx, want)
	}
	switch {
	case err != nil:
		return err
	case len(rows) < len(want):
		return sqldb.ErrSkipped
	case !sameRecords(rows, want):
		return errAltered
	}
	return nil
}

// readBack reads records by their digests.
func (s *Store) readBack(ctx context.Context, tx *sql.Tx, want []store.Record) ([]store.Record, error) {
	digests := make([]any, len(want))
	for i := range want {
		digests[i] = want[i].Digest[:]
	}
	return ownedBy(ctx, tx, want[0].Owner, s.byDigests(len(want)), digests...)
}

// errCommit is the error of a write that may have taken effect.
var errCommit = errors.New("commit failed, the write may have happened")

func (s *Store) transact(ctx context.Context, do func(*sql.Tx) error) error {
	var tx *sql.Tx
	err := s.tables.RetryBusy(ctx, func() (err error) {
		tx, err = s.attempt(ctx, do)
		return err
	})
	if err != nil {
		return err
	}
	// A commit is not retried, since it may have succeeded.
	if err := sqldb.Within(ctx, tx.Commit); err != nil {
		return fmt.Errorf("%w: %w", errCommit, err)
	}
	s.writes.CountReply()
	return nil
}

// hasRecord reports whether the database has the record as given. It uses the pool that
// writes, since the pool that reads might lag.
func (s *Store) hasRecord(ctx context.Context, want store.Record) bool {
	r, err := one(s.writes.QueryRowContext(ctx, s.sql.lookup, want.Digest[:]))
	return err == nil && same(r, want)
}

func (s *Store) attempt(ctx context.Context, do func(*sql.Tx) error) (*sql.Tx, error) {
	tx, err := s.writes.BeginTx(ctx, &sql.TxOptions{Isolation: s.tables.Isolation})
	if err != nil {
		return nil, err
	}
	begun := tx
	defer func() { // even if the driver panics
		if begun != nil {
			sqldb.Within(ctx, begun.Rollback) // its error says less than the returned one
		}
	}()
	if err := do(tx); err != nil {
		return nil, err
	}
	begun = nil
	return tx, nil
}
