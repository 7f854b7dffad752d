package memstore

import (
	"context"
	"time"

	"github.com/keyhatch/keyhatch/store"
)

// Revoke implements [store.Store].
func (s *Store) Revoke(ctx context.Context, owner, id string, at time.Time, reason string) (store.Record, bool, error) {
	if err := s.lock(ctx); err != nil {
		return store.Record{}, false, err
	}
	defer s.mu.Unlock()
	r, err := s.owned(owner, id)
	if err != nil {
		return store.Record{}, false, err
	}
	changed := revoke(r, at, reason)
	return r.Clone(), changed, nil
}

// RevokeAll implements [store.Store].
func (s *Store) RevokeAll(ctx context.Context, owner string, at time.Time, reason string) ([]store.Record, error) {
	if err := s.lock(ctx); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	var revoked []store.Record
	for _, r := range s.byOwner[owner] {
		if revoke(r, at, reason) {
			revoked = append(revoked, r.Clone())
		}
	}
	return revoked, nil
}

func revoke(r *store.Record, at time.Time, reason string) (changed bool) {
	if !r.RevokedAt.IsZero() {
		return false
	}
	r.RevokedAt, r.RevokeReason = kept(at), reason
	return true
}
