package sqlstore

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/keyhatch/keyhatch/internal/sqldb"
	"github.com/keyhatch/keyhatch/store"
)

// A queryer is a pool or a transaction.
type queryer interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// Lookup implements [store.Store].
func (s *Store) Lookup(ctx context.Context, d store.Digest) (r store.Record, err error) {
	err = s.reading(ctx, func(c *sqldb.Call) (err error) {
		r, err = s.find(ctx, c, d)
		return err
	})
	return r, wrap("lookup", err)
}

// reading runs do on the pool for reads, and repeats it if the database was busy.
func (s *Store) reading(ctx context.Context, do func(*sqldb.Call) error) error {
	return s.tables.RetryBusy(ctx, func() error { return s.reads.Call(do) })
}

// find prepares its statement once if that saves the driver a round trip.
func (s *Store) find(ctx context.Context, c *sqldb.Call, d store.Digest) (store.Record, error) {
	if !s.dialect.prepare {
		return one(c.QueryRowContext(ctx, s.sql.lookup, d[:]))
	}
	stmt := s.lookup.Load() //nolint:sqlclosecheck // it is kept for all calls
	if stmt == nil {
		prepared, err := s.reads.PrepareContext(ctx, s.sql.lookup)
		if err != nil {
			return store.Record{}, err
		}
		if !s.lookup.CompareAndSwap(nil, prepared) {
			defer prepared.Close() // another call has stored its prepared statement
		}
		stmt = prepared
	}
	return one(stmt.QueryRowContext(ctx, c.Watch(d[:])...))
}

// Get implements [store.Store].
func (s *Store) Get(ctx context.Context, owner, id string) (r store.Record, err error) {
	err = s.reading(ctx, func(c *sqldb.Call) (err error) {
		r, err = s.owned(ctx, c, owner, id)
		return err
	})
	return r, wrap("get", err)
}

// owned selects the row by its ID alone and compares the owner in Go, which detects
// another owner's key without a second statement.
func (s *Store) owned(ctx context.Context, q queryer, owner, id string) (store.Record, error) {
	r, err := one(q.QueryRowContext(ctx, s.sql.get, id))
	switch {
	case err != nil:
		return store.Record{}, err
	case r.Owner != owner:
		return store.Record{}, store.ErrOwnerMismatch
	case r.ID != id:
		return store.Record{}, fmt.Errorf("asked for id %q, got %q: the column has another collation than the schema's; restore it", id, r.ID)
	}
	return r, nil
}

// List implements [store.Store].
func (s *Store) List(ctx context.Context, q store.Query) (page store.Page, err error) {
	if err := q.Validate(); err != nil {
		return page, wrap("list", err)
	}
	q.Limit = q.PageSize()
	err = s.reading(ctx, func(c *sqldb.Call) (err error) {
		page.Records, err = s.list(ctx, c, q)
		return err
	})
	// A join need not keep the order of a list, and the two halves of the current
	// keys are not merged yet.
	slices.SortFunc(page.Records, func(a, b store.Record) int {
		return -cmp.Or(a.CreatedAt.Compare(b.CreatedAt), strings.Compare(a.ID, b.ID))
	})
	if len(page.Records) > q.Limit {
		last := page.Records[q.Limit-1]
		page.Records = page.Records[:q.Limit]
		page.Next = store.Cursor{CreatedAt: last.CreatedAt, ID: last.ID}
	}
	return page, wrap("list", err)
}

// list reads at least one record more than the page holds, if there are more, so that
// the caller knows whether there is another page.
func (s *Store) list(ctx context.Context, c *sqldb.Call, q store.Query) ([]store.Record, error) {
	if q.Filter != store.FilterAll {
		return s.listFiltered(ctx, c, q)
	}
	if q.After.IsZero() {
		return ownedBy(ctx, c, q.Owner, s.sql.first, q.Owner, q.Limit+1)
	}
	after := q.After.CreatedAt.UnixMicro()
	return ownedBy(ctx, c, q.Owner, s.sql.next, q.Owner, after, after, q.After.ID, q.Limit+1)
}

// recentPages is the number of pages of an owner's latest keys that are searched for a
// page of current keys. If they hold less than a page, all keys with an expiry are sorted.
const recentPages = 10

// listFiltered begins the first page with a cursor that is later than all records.
func (s *Store) listFiltered(ctx context.Context, c *sqldb.Call, q store.Query) ([]store.Record, error) {
	now, after, id, limit := q.At.UnixMicro(), int64(math.MaxInt64), q.After.ID, q.Limit+1
	if !q.After.IsZero() {
		after = q.After.CreatedAt.UnixMicro()
	}
	if q.Filter == store.FilterEnded {
		return ownedBy(ctx, c, q.Owner, s.sql.ended, q.Owner, now, after, after, id, limit)
	}
	var older anyTrue
	recent, err := ownedAnd(ctx, c, []any{&older}, q.Owner, s.sql.recent, q.Owner, after, after, id, recentPages*limit, now, limit,
		q.Owner, after, after, id, recentPages*limit, limit)
	if err != nil || !older {
		return recent, err
	}
	return ownedBy(ctx, c, q.Owner, s.sql.current,
		q.Owner, after, after, id, limit, q.Owner, now, after, after, id, limit)
}

// Count implements [store.Store].
func (s *Store) Count(ctx context.Context, owner string, at time.Time) (n int, err error) {
	err = s.reading(ctx, func(c *sqldb.Call) (err error) {
		n, err = s.count(ctx, c, owner, at, math.MaxInt32)
		return err
	})
	return n, wrap("count", err)
}

// count counts at most the given number of records in each of its ranges.
func (s *Store) count(ctx context.Context, q queryer, owner string, at time.Time, most int64) (n int, err error) {
	now := at.UnixMicro()
	err = q.QueryRowContext(ctx, s.sql.count, owner, most, owner, now, most,
		owner, now, now, most, owner, now, most).Scan(&n)
	return n, err
}

func one(row *sql.Row) (store.Record, error) {
	r, err := scan(row)
	if errors.Is(err, sql.ErrNoRows) {
		return store.Record{}, store.ErrNotFound
	}
	return r, err
}

// ownedBy reads the rows of an owner. It refuses rows of other owners that the
// database considers equal.
func ownedBy(ctx context.Context, q queryer, owner, query string, args ...any) ([]store.Record, error) {
	return ownedAnd(ctx, q, nil, owner, query, args...)
}

// ownedAnd is like ownedBy, and scans the columns after those of a record into the variables
// of more.
func ownedAnd(ctx context.Context, q queryer, more []any, owner, query string, args ...any) ([]store.Record, error) {
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var records []store.Record
	for rows.Next() {
		r, err := scan(rows, more...)
		if errors.Is(err, sql.ErrNoRows) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if r.Owner != owner {
			return nil, fmt.Errorf("asked for owner %q, got a key of %q: the column has another collation than the schema's; restore it", owner, r.Owner)
		}
		records = append(records, r)
	}
	// Without this, a read that was cut off would look complete.
	return records, rows.Err()
}
