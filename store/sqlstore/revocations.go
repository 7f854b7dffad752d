package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"hash/fnv"

	"github.com/keyhatch/keyhatch/internal/sqldb"
	"github.com/keyhatch/keyhatch/store"
)

// slots is how many rows the count of revocations is spread over.
const slots = 64

var _ store.RevocationCounter = (*Store)(nil)

// Revocations implements [store.RevocationCounter]. It reads from the
// pool that writes: another one might lag behind.
func (s *Store) Revocations(ctx context.Context) (r store.Revocations, err error) {
	var rows int
	err = s.writes.QueryRowContext(ctx, s.sql.revocations).Scan(&rows, &r.Lineage, &r.Count)
	if err == nil && rows != slots {
		err = fmt.Errorf("%w: it has %d rows", errNoCount, rows)
	}
	if err != nil {
		return store.Revocations{}, wrap("revocations", sqldb.WithContextError(ctx, err))
	}
	return r, nil
}

// errNoCount says that a revocation could not be counted. Only later versions of
// the schema count, but Migrate has made this one.
var errNoCount = errors.New("the table that counts revocations must have 64 rows, with slots from 0 to 63: " +
	"add those that are missing, with the lineage of the others and revoked 0")

// countRevocations adds n to the count. It must be the last change of a
// transaction: nothing is locked after this row, so it cannot deadlock, and
// other owners wait for it no longer than a commit takes.
func (s *Store) countRevocations(ctx context.Context, tx *sql.Tx, owner string, n int) error {
	if n == 0 {
		return nil
	}
	result, err := tx.ExecContext(ctx, s.sql.countRevocations, n, slotOf(owner))
	if err != nil {
		return err
	}
	if rows, err := result.RowsAffected(); err != nil || rows != 1 {
		return errors.Join(errNoCount, err)
	}
	return nil
}

// slotOf is the row in which an owner's revocations are counted.
func slotOf(owner string) int {
	h := fnv.New32a()
	h.Write([]byte(owner))
	return int(h.Sum32() % slots)
}
