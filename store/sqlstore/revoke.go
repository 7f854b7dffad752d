package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"hash/fnv"
	"time"

	"github.com/keyhatch/keyhatch/internal/sqldb"
	"github.com/keyhatch/keyhatch/store"
)

// Revoke implements [store.Store].
func (s *Store) Revoke(ctx context.Context, owner, id string, at time.Time, reason string) (r store.Record, changed bool, err error) {
	if s.dialect.revoke != "" {
		err = s.commit(ctx, func(tx *sql.Tx) (_ store.Record, err error) {
			r, err = s.revokeAtOnce(ctx, tx, owner, id, at, reason)
			return r, err
		})
		if err == nil {
			return r, true, nil
		}
		if !errors.Is(err, store.ErrNotFound) {
			return store.Record{}, false, wrap("revoke", err)
		}
	}
	err = s.write(ctx, owner, at, func(tx *sql.Tx, _ time.Time) (_ store.Record, err error) {
		if r, err = s.owned(ctx, tx, owner, id); err != nil {
			return r, err
		}
		if r, changed = r.WithRevocation(at, reason); !changed {
			return r, nil
		}
		if err = s.change(ctx, tx, s.sql.revoke, []any{sqldb.Micros(at), reason, id}, r); err != nil {
			return r, err
		}
		return r, s.countRevocations(ctx, tx, owner, 1)
	})
	if err != nil {
		return store.Record{}, false, wrap("revoke", err)
	}
	return r, changed, nil
}

// revokeAtOnce locks, revokes and counts in one round trip. It returns ErrNotFound, and
// the caller must roll back, if no such record exists or it is revoked already.
func (s *Store) revokeAtOnce(ctx context.Context, tx *sql.Tx, owner, id string, at time.Time, reason string) (store.Record, error) {
	var counted bool
	r, err := scan(tx.QueryRowContext(ctx, s.sql.revokeAtOnce, owner, sqldb.Micros(at), sqldb.Micros(at), reason, id, sqldb.Micros(at), slotOf(owner)), &counted)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return r, store.ErrNotFound
	case err != nil:
		return r, err
	case !counted:
		return r, errNoCount
	case r.Owner != owner || r.ID != id: // equal only by the column's collation
		return r, store.ErrNotFound
	case !r.RevokedAt.Equal(at) || r.RevokeReason != reason:
		return r, errAltered
	}
	return r, nil
}

// RevokeAll implements [store.Store].
func (s *Store) RevokeAll(ctx context.Context, owner string, at time.Time, reason string) (revoked []store.Record, err error) {
	err = s.write(ctx, owner, at, func(tx *sql.Tx, _ time.Time) (last store.Record, err error) {
		revoked, err = ownedBy(ctx, tx, owner, s.sql.batch, owner, store.RevokeBatch)
		if err != nil || len(revoked) == 0 {
			return last, err
		}
		args := []any{sqldb.Micros(at), reason}
		for i := range revoked {
			revoked[i], _ = revoked[i].WithRevocation(at, reason)
			last = revoked[i] // the statement changes all of them or none
			args = append(args, revoked[i].Digest[:])
		}
		if err = s.change(ctx, tx, s.revokeBatch(len(revoked)), args, revoked...); err != nil {
			return last, err
		}
		return last, s.countRevocations(ctx, tx, owner, len(revoked))
	})
	if err != nil {
		return nil, wrap("revoke all", err)
	}
	return revoked, nil
}

// slots is the number of rows that together hold the count of revocations.
const slots = 64

var _ store.RevocationCounter = (*Store)(nil)

// Revocations implements [store.RevocationCounter]. It uses the pool that writes, since
// the pool that reads might lag.
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

// errNoCount is the error of a revocation that could not be counted. The table exists,
// since Migrate has created it.
var errNoCount = errors.New("the table that counts revocations must have 64 rows, with slots from 0 to 63: " +
	"add those that are missing, with the lineage of the others and revoked 0")

// countRevocations adds n to the count. It must be the last change of a transaction.
// Then the transaction takes no lock after the lock of this row, so it cannot
// deadlock, and other owners wait for the row only during the commit.
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

// slotOf returns the row that counts an owner's revocations.
func slotOf(owner string) int {
	h := fnv.New32a()
	h.Write([]byte(owner))
	return int(h.Sum32() % slots)
}
