package memstore

import (
	"context"

	"github.com/keyhatch/keyhatch/store"
)

var _ store.RevocationCounter = (*Store)(nil)

// Revocations implements [store.RevocationCounter].
func (s *Store) Revocations(ctx context.Context) (store.Revocations, error) {
	if err := s.lock(ctx); err != nil {
		return store.Revocations{}, err
	}
	defer s.mu.Unlock()
	return store.Revocations{Lineage: s.lineage, Count: s.revocations}, nil
}
