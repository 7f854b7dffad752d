package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"math"

	"github.com/keyhatch/keyhatch/store"
)

// Insert implements [store.Store].
func (s *Store) Insert(ctx context.Context, r store.Record, limit int) error {
	return verb("insert", s.write(ctx, r.Owner, func(tx *sql.Tx) (store.Record, error) {
		if err := s.insert(ctx, tx, r); err != nil || limit < 0 {
			return r, err
		}
		return r, s.checkLimit(ctx, tx, r, limit)
	}))
}

func (s *Store) insert(ctx context.Context, tx *sql.Tx, r store.Record) error {
	args, err := values(r)
	if err != nil {
		return err
	}
	result, err := tx.ExecContext(ctx, s.sql.insert, args...)
	if s.dialect.unlessTaken == "" { // then a duplicate is an error like others
		return s.reason(ctx, tx, r, err)
	}
	if err != nil {
		return err
	}
	if n, err := result.RowsAffected(); n != 0 || err != nil {
		return err
	}
	return store.ErrDuplicate
}

// reason tells a duplicate from other failures of an INSERT, by a look at what
// is there.
func (s *Store) reason(ctx context.Context, tx *sql.Tx, r store.Record, failed error) error {
	if failed == nil || s.dialect.busy(failed) {
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

// checkLimit comes after the insert, so that whoever repeats one at the limit
// learns that it is a repetition.
func (s *Store) checkLimit(ctx context.Context, tx *sql.Tx, r store.Record, limit int) error {
	count, err := s.count(ctx, tx, r.Owner, r.CreatedAt, int64(min(limit, math.MaxInt32))+1)
	if err != nil {
		return err
	}
	if r.Counts(r.CreatedAt) {
		count-- // r itself
	}
	if count >= limit {
		return store.ErrLimit
	}
	return nil
}
