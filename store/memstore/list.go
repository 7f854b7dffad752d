package memstore

import (
	"context"
	"slices"
	"time"

	"github.com/keyhatch/keyhatch/store"
)

// Lookup implements [store.Store].
func (s *Store) Lookup(ctx context.Context, d store.Digest) (store.Record, error) {
	if err := s.lock(ctx); err != nil {
		return store.Record{}, err
	}
	defer s.mu.Unlock()
	r := s.byDigest[d]
	if r == nil {
		return store.Record{}, store.ErrNotFound
	}
	return r.Clone(), nil
}

// Get implements [store.Store].
func (s *Store) Get(ctx context.Context, owner, id string) (store.Record, error) {
	if err := s.lock(ctx); err != nil {
		return store.Record{}, err
	}
	defer s.mu.Unlock()
	r, err := s.owned(owner, id)
	if err != nil {
		return store.Record{}, err
	}
	return r.Clone(), nil
}

// List implements [store.Store].
func (s *Store) List(ctx context.Context, q store.Query) (store.Page, error) {
	if err := q.Validate(); err != nil {
		return store.Page{}, err
	}
	if err := s.lock(ctx); err != nil {
		return store.Page{}, err
	}
	defer s.mu.Unlock()
	limit := q.PageSize()
	var page store.Page
	for _, r := range slices.Backward(s.before(q)) {
		if !q.Matches(*r) {
			continue
		}
		if len(page.Records) == limit {
			last := page.Records[limit-1]
			page.Next = store.Cursor{CreatedAt: last.CreatedAt, ID: last.ID}
			break
		}
		page.Records = append(page.Records, r.Clone())
	}
	return page, nil
}

// before returns the owner's records that are older than the query's cursor.
func (s *Store) before(q store.Query) []*store.Record {
	list := s.byOwner[q.Owner]
	if q.After.IsZero() {
		return list
	}
	place := &store.Record{CreatedAt: q.After.CreatedAt, ID: q.After.ID}
	i, _ := slices.BinarySearchFunc(list, place, compare)
	return list[:i]
}

// Count implements [store.Store].
func (s *Store) Count(ctx context.Context, owner string, at time.Time) (int, error) {
	if err := s.lock(ctx); err != nil {
		return 0, err
	}
	defer s.mu.Unlock()
	return s.counted(owner, at), nil
}
