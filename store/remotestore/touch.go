package remotestore

import (
	"context"
	"encoding/hex"
	"slices"

	"github.com/keyhatch/keyhatch/store"
)

// Touch implements [store.Store]. More than 1,000 uses are sent in parts, in
// their order, each of which is atomic by itself. A failure ends it; those
// before it are written, and to write them again does no harm.
func (s *Store) Touch(ctx context.Context, uses []store.Use) error {
	for part := range slices.Chunk(uses, maxUses) {
		q := touchQuestion{Uses: make([]use, len(part))}
		for i, u := range part {
			q.Uses[i] = use{hex.EncodeToString(u.Digest[:]), instantOf(u.At)}
		}
		if err := s.do(ctx, verbTouch, q); err != nil {
			return err
		}
	}
	return nil
}
