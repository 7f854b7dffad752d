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

var _ store.Store = (*Store)(nil)

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

// lock locks the mutex, or returns the context's error if the context has ended.
func (s *Store) lock(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	return nil
}

// judged returns the instant at which a write of the owner's records is judged: at,
// or the owner's latest instant if that is later.
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

// remove reverses add.
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
		return nil, store.ErrOwnerMismatch
	}
	return r, nil
}

// kept returns r as a database would keep it, with times in UTC and whole
// microseconds.
func kept(r store.Record) store.Record {
	for _, t := range []*time.Time{&r.CreatedAt, &r.ExpiresAt, &r.DisabledAt, &r.RevokedAt, &r.LastUsedAt} {
		*t = keptTime(*t)
	}
	return r
}

// keptTime converts t to UTC and whole microseconds. It drops the monotonic clock
// reading, which means nothing to a later reader.
func keptTime(t time.Time) time.Time { return t.UTC().Truncate(time.Microsecond) }
