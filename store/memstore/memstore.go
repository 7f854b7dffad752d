// Package memstore is a [store.Store] in the memory of one process. It needs no
// setup. It loses all keys when the process ends, and no other instance sees them.
// Use it for tests, demos and first steps.
//
// Nothing is ever removed, since a store keeps revoked and expired records. So
// memory grows with every key that is created.
package memstore

import (
	"context"
	"crypto/rand"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/keyhatch/keyhatch/store"
)

// A Store keeps records in maps. Its methods may be called from many goroutines.
// Create one with [New].
type Store struct {
	mu       sync.Mutex // guards the fields below and every record
	byDigest map[store.Digest]*store.Record
	byID     map[string]*store.Record
	byOwner  map[string][]*store.Record // sorted by compare, oldest first
	latest   map[string]time.Time       // the latest instant of each owner

	revocations int64
	lineage     string
}

var (
	_ store.Store             = (*Store)(nil)
	_ store.RevocationCounter = (*Store)(nil)
)

// New returns an empty Store. It need not be closed.
func New() *Store {
	return &Store{
		byDigest: map[store.Digest]*store.Record{},
		byID:     map[string]*store.Record{},
		byOwner:  map[string][]*store.Record{},
		latest:   map[string]time.Time{},
		lineage:  rand.Text(),
	}
}

// Insert implements [store.Store].
func (s *Store) Insert(ctx context.Context, r store.Record, limit int) error {
	if err := s.lock(ctx); err != nil {
		return err
	}
	defer s.mu.Unlock()
	// Duplicates are checked first, so that a caller that repeats an insert at the
	// limit gets ErrDuplicate.
	if s.isTaken(r) {
		return store.ErrDuplicate
	}
	at := s.effectiveAt(r.Owner, r.CreatedAt)
	if r.ExpiresBefore(at) {
		return store.ErrConflict
	}
	if limit >= 0 && s.count(r.Owner, at) >= limit {
		return store.ErrLimit
	}
	s.latest[r.Owner] = at
	s.add(normalized(r.Clone()))
	return nil
}

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
	r, err := s.find(owner, id)
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
	for _, r := range slices.Backward(s.olderThan(q)) {
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

// olderThan returns the owner's records that are older than the query's cursor.
func (s *Store) olderThan(q store.Query) []*store.Record {
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
	return s.count(owner, at), nil
}

// Update implements [store.Store].
func (s *Store) Update(ctx context.Context, owner, id string, c store.Change) (store.Record, error) {
	if err := s.lock(ctx); err != nil {
		return store.Record{}, err
	}
	defer s.mu.Unlock()
	r, err := s.find(owner, id)
	if err != nil {
		return store.Record{}, err
	}
	c.At = s.effectiveAt(owner, c.At)
	changed, err := r.WithChange(c)
	if err != nil {
		return store.Record{}, err
	}
	s.latest[owner] = c.At
	*r = normalized(changed)
	return r.Clone(), nil
}

// Touch implements [store.Store].
func (s *Store) Touch(ctx context.Context, uses []store.Use) error {
	if err := s.lock(ctx); err != nil {
		return err
	}
	defer s.mu.Unlock()
	for _, use := range uses {
		if r := s.byDigest[use.Digest]; r != nil {
			*r, _ = r.WithUse(normalizedTime(use.At))
		}
	}
	return nil
}

// Rotate implements [store.Store].
func (s *Store) Rotate(ctx context.Context, owner, id string, next store.Record, oldEnds time.Time, limit int) (old, now store.Record, err error) {
	if err := s.lock(ctx); err != nil {
		return store.Record{}, store.Record{}, err
	}
	defer s.mu.Unlock()
	r, err := s.find(owner, id)
	if err != nil {
		return store.Record{}, store.Record{}, err
	}
	at := s.effectiveAt(owner, next.CreatedAt)
	old, now, err = r.WithSuccessor(at, next, oldEnds)
	switch {
	case err != nil:
		return store.Record{}, store.Record{}, err
	case s.isTaken(next):
		return store.Record{}, store.Record{}, store.ErrDuplicate
	}
	before := *r
	old, now = normalized(old), normalized(now)
	if !old.RevokedAt.IsZero() {
		s.revocations++
	}
	*r = old.Clone()
	s.add(now.Clone())
	if limit >= 0 && old.RevokedAt.IsZero() && s.count(owner, at) > limit {
		s.remove(now)
		*r = before
		return store.Record{}, store.Record{}, store.ErrConflict
	}
	s.latest[owner] = at
	return old, now, nil
}

// Revoke implements [store.Store].
func (s *Store) Revoke(ctx context.Context, owner, id string, at time.Time, reason string) (store.Record, bool, error) {
	if err := s.lock(ctx); err != nil {
		return store.Record{}, false, err
	}
	defer s.mu.Unlock()
	r, err := s.find(owner, id)
	if err != nil {
		return store.Record{}, false, err
	}
	s.latest[owner] = s.effectiveAt(owner, at)
	revoked, changed := r.WithRevocation(at, reason)
	*r = normalized(revoked)
	if changed {
		s.revocations++
	}
	return r.Clone(), changed, nil
}

// RevokeAll implements [store.Store].
func (s *Store) RevokeAll(ctx context.Context, owner string, at time.Time, reason string) ([]store.Record, error) {
	if err := s.lock(ctx); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	s.latest[owner] = s.effectiveAt(owner, at)
	var revoked []store.Record
	for _, r := range s.byOwner[owner] {
		if len(revoked) == store.RevokeBatch {
			break
		}
		if now, changed := r.WithRevocation(at, reason); changed {
			*r = normalized(now)
			revoked = append(revoked, r.Clone())
		}
	}
	s.revocations += int64(len(revoked))
	return revoked, nil
}

// Revocations implements [store.RevocationCounter].
func (s *Store) Revocations(ctx context.Context) (store.Revocations, error) {
	if err := s.lock(ctx); err != nil {
		return store.Revocations{}, err
	}
	defer s.mu.Unlock()
	return store.Revocations{Lineage: s.lineage, Count: s.revocations}, nil
}

// lock locks the mutex, or returns the context's error if the context has ended.
func (s *Store) lock(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	return nil
}

// effectiveAt returns the instant at which a write of the owner's records takes effect:
// at, or the owner's latest instant if that is later.
func (s *Store) effectiveAt(owner string, at time.Time) time.Time {
	if latest := s.latest[owner]; latest.After(at) {
		return latest
	}
	return normalizedTime(at)
}

// compare orders records by CreatedAt, then by ID.
func compare(a, b *store.Record) int {
	if c := a.CreatedAt.Compare(b.CreatedAt); c != 0 {
		return c
	}
	return strings.Compare(a.ID, b.ID)
}

// add stores r itself, which must be the only copy.
func (s *Store) add(r store.Record) {
	s.byDigest[r.Digest], s.byID[r.ID] = &r, &r
	list := s.byOwner[r.Owner]
	i, _ := slices.BinarySearchFunc(list, &r, compare)
	s.byOwner[r.Owner] = slices.Insert(list, i, &r)
}

// remove reverses add.
func (s *Store) remove(r store.Record) {
	list := s.byOwner[r.Owner]
	i, _ := slices.BinarySearchFunc(list, &r, compare)
	s.byOwner[r.Owner] = slices.Delete(list, i, i+1)
	delete(s.byDigest, r.Digest)
	delete(s.byID, r.ID)
}

// isTaken reports whether another record has the digest or the ID of r.
func (s *Store) isTaken(r store.Record) bool {
	return s.byDigest[r.Digest] != nil || s.byID[r.ID] != nil
}

// find returns the owner's record with this ID.
func (s *Store) find(owner, id string) (*store.Record, error) {
	r := s.byID[id]
	switch {
	case r == nil:
		return nil, store.ErrNotFound
	case r.Owner != owner:
		return nil, store.ErrOwnerMismatch
	}
	return r, nil
}

// normalized returns r as a database would store it: with times in UTC and whole
// microseconds.
func normalized(r store.Record) store.Record {
	for _, t := range []*time.Time{&r.CreatedAt, &r.ExpiresAt, &r.DisabledAt, &r.RevokedAt, &r.LastUsedAt} {
		*t = normalizedTime(*t)
	}
	return r
}

// normalizedTime converts t to UTC and whole microseconds. It drops the monotonic clock
// reading, which means nothing to a later reader.
func normalizedTime(t time.Time) time.Time { return t.UTC().Truncate(time.Microsecond) }

// count returns how many of the owner's records count against its limit.
func (s *Store) count(owner string, at time.Time) (n int) {
	for _, r := range s.byOwner[owner] {
		if r.CountsAgainstLimit(at, s.byID[r.ReplacedBy]) {
			n++
		}
	}
	return n
}
