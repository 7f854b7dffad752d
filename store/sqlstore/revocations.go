package sqlstore

import (
	"context"
	"database/sql"
	"hash/fnv"

	"github.com/keyhatch/keyhatch/store"
)

// slots is how many rows the count of revocations is spread over.
const slots = 64

var _ store.RevocationCounter = (*Store)(nil)

// Revocations implements [store.RevocationCounter]. It reads from the
// pool that writes: another one might lag behind.
func (s *Store) Revocations(ctx context.Context) (r store.Revocations, err error) {
	err = s.writes.QueryRowContext(ctx, s.sql.revocations).Scan(&r.Lineage, &r.Count)
	if err != nil {
		return store.Revocations{}, verb("revocations", interrupted(ctx, err))
	}
	return r, nil
}

// countRevocations adds n to the count. It must be the last change of a
// transaction: nothing is locked after this row, so it cannot deadlock, and
// other owners wait for it no longer than a commit takes.
func (s *Store) countRevocations(ctx context.Context, tx *sql.Tx, owner string, n int) error {
	if n == 0 {
		return nil
	}
	h := fnv.New32a()
	h.Write([]byte(owner))
	_, err := tx.ExecContext(ctx, s.sql.countRevocations, n, int(h.Sum32()%slots))
	return err
}
