// Package memstore is a [store.Store] in the memory of one process. It needs no
// setup and forgets everything when the process ends: right for tests, demos
// and first steps, wrong wherever a key must outlive a restart or be known to a
// second instance.
package memstore

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/keyhatch/keyhatch/store"
)

// A Store keeps records in maps. Use [New].
type Store struct {
	mu       sync.Mutex // guards all that follows, and every record
	byDigest map[store.Digest]*store.Record
	byID     map[string]*store.Record
	byOwner  map[string][]*store.Record // oldest first, as compare orders them
}

var _ store.Store = (*Store)(nil)

// New returns an empty store. There is nothing to close.
func New() *Store {
	return &Store{
		byDigest: map[store.Digest]*store.Record{},
		byID:     map[string]*store.Record{},
		byOwner:  map[string][]*store.Record{},
	}
}

// compare orders records by CreatedAt, then by ID.
func compare(a, b *store.Record) int {
	if c := a.CreatedAt.Compare(b.CreatedAt); c != 0 {
		return c
	}
	return strings.Compare(a.ID, b.ID)
}

// Insert implements [store.Store].
func (s *Store) Insert(ctx context.Context, r store.Record, limit int) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.taken(r) {
		return store.ErrDuplicate
	}
	if limit >= 0 && s.counted(r.Owner, r.CreatedAt) >= limit {
		return store.ErrLimit
	}
	s.add(r.Clone())
	return nil
}

func (s *Store) taken(r store.Record) bool {
	return s.byDigest[r.Digest] != nil || s.byID[r.ID] != nil
}

func (s *Store) counted(owner string, at time.Time) (n int) {
	for _, r := range s.byOwner[owner] {
		if r.Counts(at) {
			n++
		}
	}
	return n
}

func (s *Store) add(r store.Record) {
	s.byDigest[r.Digest], s.byID[r.ID] = &r, &r
	list := s.byOwner[r.Owner]
	i, _ := slices.BinarySearchFunc(list, &r, compare)
	s.byOwner[r.Owner] = slices.Insert(list, i, &r)
}

// Lookup implements [store.Store].
func (s *Store) Lookup(ctx context.Context, d store.Digest) (store.Record, error) {
	if err := ctx.Err(); err != nil {
		return store.Record{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.byDigest[d]
	if r == nil {
		return store.Record{}, store.ErrNotFound
	}
	return r.Clone(), nil
}

// Get implements [store.Store].
func (s *Store) Get(ctx context.Context, owner, id string) (store.Record, error) {
	if err := ctx.Err(); err != nil {
		return store.Record{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	r, err := s.owned(owner, id)
	if err != nil {
		return store.Record{}, err
	}
	return r.Clone(), nil
}

func (s *Store) owned(owner, id string) (*store.Record, error) {
	r := s.byID[id]
	switch {
	case r == nil:
		return nil, store.ErrNotFound
	case r.Owner != owner:
		return nil, store.ErrForeignOwner
	}
	return r, nil
}

// List implements [store.Store].
func (s *Store) List(ctx context.Context, q store.Query) (store.Page, error) {
	if err := ctx.Err(); err != nil {
		return store.Page{}, err
	}
	limit := q.Limit
	if limit < 1 || limit > store.MaxPage {
		limit = store.MaxPage
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	older := s.byOwner[q.Owner]
	if !q.After.IsZero() {
		i, _ := slices.BinarySearchFunc(older, &store.Record{CreatedAt: q.After.CreatedAt, ID: q.After.ID}, compare)
		older = older[:i]
	}
	var page store.Page
	for _, r := range slices.Backward(older) {
		if len(page.Records) == limit {
			last := page.Records[limit-1]
			page.Next = store.Cursor{CreatedAt: last.CreatedAt, ID: last.ID}
			break
		}
		page.Records = append(page.Records, r.Clone())
	}
	return page, nil
}

// Update implements [store.Store].
func (s *Store) Update(ctx context.Context, owner, id string, c store.Change) (store.Record, error) {
	if err := ctx.Err(); err != nil {
		return store.Record{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	r, err := s.owned(owner, id)
	if err != nil {
		return store.Record{}, err
	}
	ended := r.Expired(c.At) || r.ReplacedBy != ""
	if !r.RevokedAt.IsZero() || c.ExpiresAt != nil && ended {
		return store.Record{}, store.ErrConflict
	}
	if c.Name != nil {
		r.Name = *c.Name
	}
	change := store.Record{Scopes: c.Scopes, Metadata: c.Metadata}.Clone()
	if c.Scopes != nil {
		r.Scopes = change.Scopes
	}
	if c.Metadata != nil {
		r.Metadata = change.Metadata
	}
	if c.ExpiresAt != nil {
		r.ExpiresAt = *c.ExpiresAt
	}
	if c.DisabledAt != nil {
		r.DisabledAt = *c.DisabledAt
	}
	return r.Clone(), nil
}

// Revoke implements [store.Store].
func (s *Store) Revoke(ctx context.Context, owner, id string, at time.Time, reason string) (store.Record, bool, error) {
	if err := ctx.Err(); err != nil {
		return store.Record{}, false, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	r, err := s.owned(owner, id)
	if err != nil {
		return store.Record{}, false, err
	}
	changed := revoke(r, at, reason)
	return r.Clone(), changed, nil
}

func revoke(r *store.Record, at time.Time, reason string) (changed bool) {
	if !r.RevokedAt.IsZero() {
		return false
	}
	r.RevokedAt, r.RevokeReason = at, reason
	return true
}

// RevokeAll implements [store.Store].
func (s *Store) RevokeAll(ctx context.Context, owner string, at time.Time, reason string) ([]store.Record, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var revoked []store.Record
	for _, r := range s.byOwner[owner] {
		if revoke(r, at, reason) {
			revoked = append(revoked, r.Clone())
		}
	}
	return revoked, nil
}

// Rotate implements [store.Store].
func (s *Store) Rotate(ctx context.Context, owner, id string, next store.Record, oldEnds time.Time) (old, now store.Record, err error) {
	if err := ctx.Err(); err != nil {
		return store.Record{}, store.Record{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	r, err := s.owned(owner, id)
	switch {
	case err != nil:
		return store.Record{}, store.Record{}, err
	case !r.Usable(next.CreatedAt) || r.ReplacedBy != "":
		return store.Record{}, store.Record{}, store.ErrConflict
	case s.taken(next):
		return store.Record{}, store.Record{}, store.ErrDuplicate
	}
	made := store.Record{
		ID: next.ID, Digest: next.Digest, Hint: next.Hint, CreatedAt: next.CreatedAt,
		Owner: r.Owner, Name: r.Name, CreatedBy: r.CreatedBy,
		Scopes: r.Scopes, Metadata: r.Metadata, ExpiresAt: r.ExpiresAt,
	}.Clone()
	s.add(made)
	r.ReplacedBy = made.ID
	if !oldEnds.After(made.CreatedAt) {
		revoke(r, made.CreatedAt, store.ReasonRotated)
	} else if r.ExpiresAt.IsZero() || oldEnds.Before(r.ExpiresAt) {
		r.ExpiresAt = oldEnds
	}
	return r.Clone(), made.Clone(), nil
}

// Touch implements [store.Store].
func (s *Store) Touch(ctx context.Context, uses []store.Use) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, use := range uses {
		r := s.byDigest[use.Digest]
		if r != nil && r.RevokedAt.IsZero() && use.At.After(r.LastUsedAt) {
			r.LastUsedAt = use.At
		}
	}
	return nil
}
