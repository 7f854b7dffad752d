package sqlstore

import (
	"context"
	"database/sql"
	"time"

	"github.com/keyhatch/keyhatch/store"
)

// Rotate implements [store.Store].
func (s *Store) Rotate(ctx context.Context, owner, id string, next store.Record, oldEnds time.Time) (old, now store.Record, err error) {
	err = s.write(ctx, owner, func(tx *sql.Tx) (err error) {
		old, err = s.owned(ctx, tx, owner, id)
		if err != nil {
			return err
		}
		if !old.Usable(next.CreatedAt) || old.ReplacedBy != "" {
			return store.ErrConflict
		}
		now = successor(old, next)
		if err := s.insert(ctx, tx, now); err != nil {
			return err
		}
		replaced(&old, now, oldEnds)
		_, err = tx.ExecContext(ctx, s.sql.replace, old.ReplacedBy, micros(old.ExpiresAt),
			micros(old.RevokedAt), old.RevokeReason, old.ID)
		return err
	})
	if err != nil {
		return store.Record{}, store.Record{}, verb("rotate", err)
	}
	return old, now, nil
}

func successor(old, next store.Record) store.Record {
	return store.Record{
		ID: next.ID, Digest: next.Digest, Hint: next.Hint, CreatedAt: next.CreatedAt,
		Owner: old.Owner, Name: old.Name, CreatedBy: old.CreatedBy,
		Scopes: old.Scopes, Metadata: old.Metadata, ExpiresAt: old.ExpiresAt,
	}.Clone()
}

func replaced(old *store.Record, now store.Record, ends time.Time) {
	old.ReplacedBy = now.ID
	switch {
	case !ends.After(now.CreatedAt):
		old.RevokedAt, old.RevokeReason = now.CreatedAt, store.ReasonRotated
	case old.ExpiresAt.IsZero() || ends.Before(old.ExpiresAt):
		old.ExpiresAt = ends
	}
}
