package sqlstore

import (
	"context"
	"database/sql"
	"time"

	"github.com/keyhatch/keyhatch/internal/sqldb"
	"github.com/keyhatch/keyhatch/store"
)

// Rotate implements [store.Store].
func (s *Store) Rotate(ctx context.Context, owner, id string, next store.Record, oldEnds time.Time, limit int) (old, now store.Record, err error) {
	err = s.write(ctx, owner, next.CreatedAt, func(tx *sql.Tx, at time.Time) (store.Record, error) {
		r, err := s.owned(ctx, tx, owner, id)
		if err != nil {
			return now, err
		}
		if old, now, err = r.WithSuccessor(at, next, oldEnds); err != nil {
			return now, err
		}
		if err := s.insert(ctx, tx, now); err != nil {
			return now, err
		}
		err = s.change(ctx, tx, s.sql.replace, []any{old.ReplacedBy, sqldb.Micros(old.ExpiresAt),
			sqldb.Micros(old.RevokedAt), old.RevokeReason, old.ID}, old)
		if err == nil && !old.RevokedAt.IsZero() {
			return now, s.countRevocations(ctx, tx, owner, 1)
		}
		if err != nil || limit < 0 {
			return now, err
		}
		over, err := s.exceeds(ctx, tx, owner, at, limit)
		if err == nil && over {
			err = store.ErrConflict
		}
		return now, err
	})
	if err != nil {
		return store.Record{}, store.Record{}, wrap("rotate", err)
	}
	return old, now, nil
}
