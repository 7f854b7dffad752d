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
	c.At = s.judged(owner, c.At)
	changed, err := r.WithChange(c)
	if err != nil {
		return store.Record{}, err
	}
	s.latest[owner] = c.At
	*r = kept(changed)
	return r.Clone(), nil
}

// Touch implements [store.Store].
func (s *Store) Touch(ctx context.Context, uses []store.Use) error {
	if err := s.lock(ctx); err != nil {
		return err
	}
	defer s.mu.Unlock()
	for _, use := range uses {
		if r := s.byDigest[use.Digest]; r != nil {
			*r, _ = r.WithUse(keptTime(use.At))
		}
	}
	return nil
}
