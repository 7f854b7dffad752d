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
	switch {
	case err != nil:
		return store.Record{}, store.Record{}, err
	case !r.Usable(next.CreatedAt) || r.ReplacedBy != "":
		return store.Record{}, store.Record{}, store.ErrConflict
	case s.taken(next):
		return store.Record{}, store.Record{}, store.ErrDuplicate
	}
	now = successor(r, next)
	s.add(now.Clone())
	replace(r, now, oldEnds)
	return r.Clone(), now, nil
}

func successor(old *store.Record, next store.Record) store.Record {
	return store.Record{
		ID: next.ID, Digest: next.Digest, Hint: next.Hint, CreatedAt: kept(next.CreatedAt),
		Owner: old.Owner, Name: old.Name, CreatedBy: old.CreatedBy,
		Scopes: old.Scopes, Metadata: old.Metadata, ExpiresAt: old.ExpiresAt,
	}.Clone()
}

func replace(old *store.Record, now store.Record, ends time.Time) {
	old.ReplacedBy = now.ID
	if !ends.After(now.CreatedAt) {
		revoke(old, now.CreatedAt, store.ReasonRotated)
	} else if old.ExpiresAt.IsZero() || ends.Before(old.ExpiresAt) {
		old.ExpiresAt = kept(ends)
	}
}
