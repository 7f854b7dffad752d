// Package memstore is a [store.Store] in the memory of one process. It needs no
// setup and forgets everything when the process ends: right for tests, demos
// and first steps, wrong wherever a key must outlive a restart or be known to a
// second instance.
//
// Nothing is ever removed, since a store keeps what was revoked, so memory
// grows with every key that is created.
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

// A Store keeps records in maps. Use [New].
type Store struct {
	mu       sync.Mutex // guards all that follows, and every record
	byDigest map[store.Digest]*store.Record
	byID     map[string]*store.Record
	byOwner  map[string][]*store.Record // oldest first, as compare orders them
	latest   map[string]time.Time       // of each owner, the latest instant of a write

	revocations int64
	lineage     string
}

var _ store.Store = (*Store)(nil)

// New returns an empty store. There is nothing to close.
func New() *Store {
	return &Store{
		byDigest: map[store.Digest]*store.Record{},
		byID:     map[string]*store.Record{},
		byOwner:  map[string][]*store.Record{},
		latest:   map[string]time.Time{},
		lineage:  rand.Text(),
	}
}

// lock takes the mutex, unless the context has ended.
func (s *Store) lock(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	return nil
}

// judged returns the instant by which a write of the owner's records is judged:
// its own, or the owner's latest one if that is later.
func (s *Store) judged(owner string, at time.Time) time.Time {
	if latest := s.latest[owner]; latest.After(at) {
		return latest
	}
	return keptTime(at)
}

// compare orders records by CreatedAt, then by ID.
func compare(a, b *store.Record) int {
	if c := a.CreatedAt.Compare(b.CreatedAt); c != 0 {
		return c
	}
	return strings.Compare(a.ID, b.ID)
}

func (s *Store) add(r store.Record) {
	s.byDigest[r.Digest], s.byID[r.ID] = &r, &r
	list := s.byOwner[r.Owner]
	i, _ := slices.BinarySearchFunc(list, &r, compare)
	s.byOwner[r.Owner] = slices.Insert(list, i, &r)
}

// remove undoes add.
func (s *Store) remove(r store.Record) {
	list := s.byOwner[r.Owner]
	i, _ := slices.BinarySearchFunc(list, &r, compare)
	s.byOwner[r.Owner] = slices.Delete(list, i, i+1)
	delete(s.byDigest, r.Digest)
	delete(s.byID, r.ID)
}

func (s *Store) taken(r store.Record) bool {
	return s.byDigest[r.Digest] != nil || s.byID[r.ID] != nil
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

// kept is r as a database would keep it.
func kept(r store.Record) store.Record {
	for _, t := range []*time.Time{&r.CreatedAt, &r.ExpiresAt, &r.DisabledAt, &r.RevokedAt, &r.LastUsedAt} {
		*t = keptTime(*t)
	}
	return r
}

// keptTime also drops the reading of the monotonic clock, which means nothing
// to who reads the record later.
func keptTime(t time.Time) time.Time { return t.UTC().Truncate(time.Microsecond) }
