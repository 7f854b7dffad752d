package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"math"
	"time"

	"github.com/keyhatch/keyhatch/internal/sqldb"
	"github.com/keyhatch/keyhatch/store"
)

// Insert implements [store.Store].
func (s *Store) Insert(ctx context.Context, r store.Record, limit int) error {
	return wrap("insert", s.write(ctx, r.Owner, r.CreatedAt, func(tx *sql.Tx, at time.Time) (store.Record, error) {
		full, err := limit >= 0, error(nil)
		if full {
			full, err = s.exceeds(ctx, tx, r.Owner, at, limit-1)
		}
		if err == nil {
			err = s.insert(ctx, tx, r)
		}
		// A caller that repeats an insert at the limit must get ErrDuplicate.
		switch {
		case err != nil:
			return r, err
		case r.ExpiresBefore(at):
			return r, store.ErrConflict
		case full:
			return r, store.ErrLimit
		}
		return r, nil
	}))
}

// exceeds reports whether more than limit of the owner's records count.
func (s *Store) exceeds(ctx context.Context, tx *sql.Tx, owner string, at time.Time, limit int) (bool, error) {
	n, err := s.count(ctx, tx, owner, at, int64(min(limit, math.MaxInt32))+1)
	return n > limit, err
}

func (s *Store) insert(ctx context.Context, tx *sql.Tx, r store.Record) error {
	args, err := values(r)
	if err != nil {
		return err
	}
	err = s.change(ctx, tx, s.sql.insert, args, r)
	if errors.Is(err, errAltered) || s.dialect.unlessTaken != "" && !errors.Is(err, sqldb.ErrSkipped) {
		return err
	}
	return s.reason(ctx, tx, r, err)
}

// reason returns ErrDuplicate if the INSERT has failed because of a record that exists,
// and otherwise its error.
func (s *Store) reason(ctx context.Context, tx *sql.Tx, r store.Record, failed error) error {
	if failed == nil || s.tables.IsBusy(failed) {
		return failed
	}
	_, err := one(tx.QueryRowContext(ctx, s.sql.lookup, r.Digest[:]))
	if errors.Is(err, store.ErrNotFound) {
		_, err = one(tx.QueryRowContext(ctx, s.sql.get, r.ID))
	}
	if err == nil {
		return store.ErrDuplicate
	}
	return failed
}
