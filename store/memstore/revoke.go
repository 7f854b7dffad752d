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
	s.latest[owner] = s.judged(owner, at)
	revoked, changed := r.WithRevocation(at, reason)
	*r = kept(revoked)
	if changed {
		s.revocations++
	}
	return r.Clone(), changed, nil
}

// RevokeAll implements [store.Store].
func (s *Store) RevokeAll(ctx context.Context, owner string, at time.Time, reason string) ([]store.Record, error) {
	if err := s.lock(ctx); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	s.latest[owner] = s.judged(owner, at)
	var revoked []store.Record
	for _, r := range s.byOwner[owner] {
		if len(revoked) == store.RevokeBatch {
			break
		}
		if now, changed := r.WithRevocation(at, reason); changed {
			*r = kept(now)
			revoked = append(revoked, r.Clone())
		}
	}
	s.revocations += int64(len(revoked))
	return revoked, nil
}
