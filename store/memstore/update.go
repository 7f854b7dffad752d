package memstore

import (
	"context"

	"github.com/keyhatch/keyhatch/store"
)

// Update implements [store.Store].
func (s *Store) Update(ctx context.Context, owner, id string, c store.Change) (store.Record, error) {
	if err := s.lock(ctx); err != nil {
		return store.Record{}, err
	}
	defer s.mu.Unlock()
	r, err := s.owned(owner, id)
	if err != nil {
		return store.Record{}, err
	}
	ended := r.Expired(c.At) || r.ReplacedBy != ""
	if !r.RevokedAt.IsZero() || c.ExpiresAt != nil && ended {
		return store.Record{}, store.ErrConflict
	}
	change(r, c)
	return r.Clone(), nil
}

func change(r *store.Record, c store.Change) {
	copied := store.Record{Scopes: c.Scopes, Metadata: c.Metadata}.Clone()
	if c.Name != nil {
		r.Name = *c.Name
	}
	if c.Scopes != nil {
		r.Scopes = copied.Scopes
	}
	if c.Metadata != nil {
		r.Metadata = copied.Metadata
	}
	if c.ExpiresAt != nil {
		r.ExpiresAt = kept(*c.ExpiresAt)
	}
	if c.DisabledAt != nil {
		r.DisabledAt = kept(*c.DisabledAt)
	}
}

// Touch implements [store.Store].
func (s *Store) Touch(ctx context.Context, uses []store.Use) error {
	if err := s.lock(ctx); err != nil {
		return err
	}
	defer s.mu.Unlock()
	for _, use := range uses {
		r, at := s.byDigest[use.Digest], kept(use.At)
		if r != nil && r.RevokedAt.IsZero() && at.After(r.LastUsedAt) {
			r.LastUsedAt = at
		}
	}
	return nil
}
