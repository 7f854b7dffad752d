package memstore

import (
	"context"
	"time"

	"github.com/keyhatch/keyhatch/store"
)

// Insert implements [store.Store].
func (s *Store) Insert(ctx context.Context, r store.Record, limit int) error {
	if err := s.lock(ctx); err != nil {
		return err
	}
	defer s.mu.Unlock()
	// Duplicates are checked first, so that a caller that repeats an insert at the
	// limit gets ErrDuplicate.
	if s.taken(r) {
		return store.ErrDuplicate
	}
	at := s.judged(r.Owner, r.CreatedAt)
	if r.ExpiresBefore(at) {
		return store.ErrConflict
	}
	if limit >= 0 && s.counted(r.Owner, at) >= limit {
		return store.ErrLimit
	}
	s.latest[r.Owner] = at
	s.add(kept(r.Clone()))
	return nil
}

func (s *Store) counted(owner string, at time.Time) (n int) {
	for _, r := range s.byOwner[owner] {
		if r.CountsAgainstLimit(at, s.byID[r.ReplacedBy]) {
			n++
		}
	}
	return n
}
