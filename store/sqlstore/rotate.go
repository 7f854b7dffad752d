package sqlstore

import (
	"context"
	"database/sql"
	"time"

	"github.com/keyhatch/keyhatch/store"
)

// Rotate implements [store.Store].
func (s *Store) Rotate(ctx context.Context, owner, id string, next store.Record, oldEnds time.Time) (old, now store.Record, err error) {
	err = s.write(ctx, owner, func(tx *sql.Tx) (store.Record, error) {
		r, err := s.owned(ctx, tx, owner, id)
		if err != nil {
			return now, err
		}
		if old, now, err = r.Rotated(next, oldEnds); err != nil {
			return now, err
		}
		if err := s.insert(ctx, tx, now); err != nil {
			return now, err
		}
		_, err = tx.ExecContext(ctx, s.sql.replace, old.ReplacedBy, micros(old.ExpiresAt),
			micros(old.RevokedAt), old.RevokeReason, old.ID)
		return now, err
	})
	if err != nil {
		return store.Record{}, store.Record{}, verb("rotate", err)
	}
	return old, now, nil
}
