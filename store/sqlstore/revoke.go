package sqlstore

import (
	"context"
	"database/sql"
	"time"

	"github.com/keyhatch/keyhatch/store"
)

// Revoke implements [store.Store].
func (s *Store) Revoke(ctx context.Context, owner, id string, at time.Time, reason string) (r store.Record, changed bool, err error) {
	err = s.write(ctx, owner, func(tx *sql.Tx) (err error) {
		r, err = s.owned(ctx, tx, owner, id)
		changed = err == nil && r.RevokedAt.IsZero()
		if !changed {
			return err
		}
		r.RevokedAt, r.RevokeReason = at, reason
		_, err = tx.ExecContext(ctx, s.sql.revoke, micros(at), reason, id)
		return err
	})
	if err != nil {
		return store.Record{}, false, verb("revoke", err)
	}
	return r, changed, nil
}

// RevokeAll implements [store.Store].
func (s *Store) RevokeAll(ctx context.Context, owner string, at time.Time, reason string) (revoked []store.Record, err error) {
	err = s.write(ctx, owner, func(tx *sql.Tx) (err error) {
		revoked, err = all(ctx, tx, s.sql.live, owner)
		if err != nil {
			return err
		}
		for i := range revoked {
			revoked[i].RevokedAt, revoked[i].RevokeReason = at, reason
		}
		_, err = tx.ExecContext(ctx, s.sql.revokeAll, micros(at), reason, owner)
		return err
	})
	if err != nil {
		return nil, verb("revoke all", err)
	}
	return revoked, nil
}
