package memstore

import (
	"context"
	"time"

	"github.com/keyhatch/keyhatch/store"
)

// Rotate implements [store.Store].
func (s *Store) Rotate(ctx context.Context, owner, id string, next store.Record, oldEnds time.Time, limit int) (old, now store.Record, err error) {
	if err := s.lock(ctx); err != nil {
		return store.Record{}, store.Record{}, err
	}
	defer s.mu.Unlock()
	r, err := s.owned(owner, id)
	if err != nil {
		return store.Record{}, store.Record{}, err
	}
	at := s.judged(owner, next.CreatedAt)
	old, now, err = r.WithSuccessor(at, next, oldEnds)
	switch {
	case err != nil:
		return store.Record{}, store.Record{}, err
	case s.taken(next):
		return store.Record{}, store.Record{}, store.ErrDuplicate
	}
	before := *r
	old, now = kept(old), kept(now)
	if !old.RevokedAt.IsZero() {
		s.revocations++
	}
	*r = old.Clone()
	s.add(now.Clone())
	if limit >= 0 && old.RevokedAt.IsZero() && s.counted(owner, at) > limit {
		s.remove(now)
		*r = before
		return store.Record{}, store.Record{}, store.ErrConflict
	}
	s.latest[owner] = at
	return old, now, nil
}
