package sqlstore

import (
	"context"
	"database/sql"
	"errors"

	"github.com/keyhatch/keyhatch/store"
)

// Both a pool and a transaction can be asked.
type queryer interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// Lookup implements [store.Store].
func (s *Store) Lookup(ctx context.Context, d store.Digest) (r store.Record, err error) {
	err = s.patiently(ctx, func() (err error) {
		r, err = one(ctx, s.reads, s.sql.lookup, d[:])
		return err
	})
	return r, verb("lookup", err)
}

// Get implements [store.Store].
func (s *Store) Get(ctx context.Context, owner, id string) (r store.Record, err error) {
	err = s.patiently(ctx, func() (err error) {
		r, err = s.owned(ctx, s.reads, owner, id)
		return err
	})
	return r, verb("get", err)
}

// owned finds the row by its id alone and compares the owner here, which tells
// another owner's key from none at no cost.
func (s *Store) owned(ctx context.Context, q queryer, owner, id string) (store.Record, error) {
	r, err := one(ctx, q, s.sql.get, id)
	if err == nil && r.Owner != owner {
		return store.Record{}, store.ErrForeignOwner
	}
	return r, err
}

// List implements [store.Store].
func (s *Store) List(ctx context.Context, q store.Query) (page store.Page, err error) {
	if q.Limit < 1 || q.Limit > store.MaxPage {
		q.Limit = store.MaxPage
	}
	err = s.patiently(ctx, func() (err error) {
		page.Records, err = s.list(ctx, q)
		return err
	})
	if len(page.Records) > q.Limit {
		last := page.Records[q.Limit-1]
		page.Records = page.Records[:q.Limit]
		page.Next = store.Cursor{CreatedAt: last.CreatedAt, ID: last.ID}
	}
	return page, verb("list", err)
}

// list reads one record more than is asked for, which tells whether there is
// another page.
func (s *Store) list(ctx context.Context, q store.Query) ([]store.Record, error) {
	if q.After.IsZero() {
		return all(ctx, s.reads, s.sql.first, q.Owner, q.Limit+1)
	}
	after := q.After.CreatedAt.UnixMicro()
	return all(ctx, s.reads, s.sql.next, q.Owner, after, q.After.ID, q.Limit+1)
}

func one(ctx context.Context, q queryer, query string, args ...any) (store.Record, error) {
	r, err := scan(q.QueryRowContext(ctx, query, args...))
	if errors.Is(err, sql.ErrNoRows) {
		return store.Record{}, store.ErrNotFound
	}
	return r, err
}

func all(ctx context.Context, q queryer, query string, args ...any) ([]store.Record, error) {
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var records []store.Record
	for rows.Next() {
		r, err := scan(rows)
		if err != nil {
			return nil, err
		}
		records = append(records, r)
	}
	// Without this, a read that broke off halfway would pass for a whole one.
	return records, rows.Err()
}
