package memstore

import (
	"context"
	"time"

	"github.com/keyhatch/keyhatch/store"
)

// Rotate implements [store.Store].
func (s *Store) Rotate(ctx context.Context, owner, id string, next store.Record, oldEnds time.Time) (old, now store.Record, err error) {
	if err := s.lock(ctx); err != nil {
		return store.Record{}, store.Record{}, err
	}
	defer s.mu.Unlock()
	r, err := s.owned(owner, id)
	if err != nil {
		return store.Record{}, store.Record{}, err
	}
	old, now, err = r.Rotated(next, oldEnds)
	switch {
	case err != nil:
		return store.Record{}, store.Record{}, err
	case s.taken(next):
		return store.Record{}, store.Record{}, store.ErrDuplicate
	}
	old, now = kept(old), kept(now)
	if !old.RevokedAt.IsZero() {
		s.revocations++
	}
	*r = old.Clone()
	s.add(now.Clone())
	return old, now, nil
}
