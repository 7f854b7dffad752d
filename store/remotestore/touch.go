package remotestore

import (
	"context"
	"slices"

	"github.com/keyhatch/keyhatch/internal/recordjson"
	"github.com/keyhatch/keyhatch/store"
)

// Touch implements [store.Store]. It sends more than 1,000 uses in several batches,
// in order. Each batch is atomic. If a batch fails, Touch returns its error and
// sends no more; the batches before it are written. It is safe to repeat the call.
func (s *Store) Touch(ctx context.Context, uses []store.Use) error {
	for part := range slices.Chunk(uses, maxUses) {
		q := touchQuestion{Uses: make([]use, len(part))}
		for i, u := range part {
			q.Uses[i] = use{recordjson.Digest(u.Digest), recordjson.TimeOf(u.At)}
		}
		if err := s.do(ctx, verbTouch, q); err != nil {
			return err
		}
	}
	return nil
}
