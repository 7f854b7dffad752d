package cachetest_test

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/keyhatch/keyhatch/cache"
)

// A fakeShared is a Shared within the process, with the given fault.
type fakeShared struct {
	fault string

	mu     sync.Mutex
	items  map[cache.Key]fakeItem
	leases map[cache.Key]fakeLease
	given  map[string]fakeLease // all leases ever granted
}

type fakeItem struct {
	cache.Item
	granted, ends time.Time
}

type fakeLease struct {
	name    string
	granted time.Time
}

func newFakeShared(fault string) (one, other cache.Shared) {
	s := &fakeShared{fault: fault, items: map[cache.Key]fakeItem{}, leases: map[cache.Key]fakeLease{}, given: map[string]fakeLease{}}
	if fault == "does not share entries" {
		other, _ = newFakeShared("")
		return s, other
	}
	return s, s
}

func (s *fakeShared) key(key cache.Key) cache.Key {
	if s.fault == "shortens keys" {
		clear(key[16:])
	}
	return key
}

func (s *fakeShared) Get(ctx context.Context, key cache.Key) (cache.Item, string, error) {
	if err := s.pause(ctx); err != nil {
		return cache.Item{}, "", err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	key = s.key(key)
	if i, ok := s.items[key]; ok && (time.Now().Before(i.ends) || s.fault == "keeps entries forever") {
		i.Age = time.Since(i.granted)
		return i.Item, "", nil
	}
	if s.fault == "gives no lease" {
		return cache.Item{}, "", cache.ErrMiss
	}
	lease := s.leases[key]
	if lease.name == "" || !s.stands(lease) {
		lease = fakeLease{fmt.Sprint("lease ", len(s.given)), time.Now()}
		s.leases[key], s.given[lease.name] = lease, lease
	}
	return cache.Item{}, lease.name, cache.ErrMiss
}

// pause waits for the duration of a call, and returns ctx's error if ctx ends first.
func (s *fakeShared) pause(ctx context.Context) error {
	time.Sleep(duration)
	switch {
	case s.fault == "ignores contexts":
		return nil
	case s.fault == "misses when its context ends" && ctx.Err() != nil:
		return cache.ErrMiss
	}
	return ctx.Err()
}

func (s *fakeShared) stands(lease fakeLease) bool {
	return time.Since(lease.granted) < cache.MaxLease || s.fault == "leases never end"
}

func (s *fakeShared) Set(ctx context.Context, key cache.Key, name string, item cache.Item, ttl time.Duration) error {
	if err := s.pause(ctx); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	key = s.key(key)
	lease, ok := s.lease(key, name)
	if !ok || !s.stands(lease) {
		return nil
	}
	if s.fault == "checks the lease too soon" {
		s.mu.Unlock()
		time.Sleep(100 * time.Microsecond)
		s.mu.Lock()
	}
	s.keep(key, lease, item, ttl)
	return nil
}

// lease returns the lease that Set may use.
func (s *fakeShared) lease(key cache.Key, name string) (lease fakeLease, ok bool) {
	switch s.fault {
	case "needs no lease":
		return fakeLease{granted: time.Now()}, true
	case "accepts an empty lease":
		if name == "" {
			return fakeLease{granted: time.Now()}, true
		}
	case "accepts any lease":
		lease, ok = s.given[name]
		return lease, ok
	case "accepts a newer lease":
		lease, ok = s.leases[key]
		return lease, ok
	}
	lease, ok = s.leases[key]
	return lease, ok && lease.name == name
}

func (s *fakeShared) keep(key cache.Key, lease fakeLease, item cache.Item, ttl time.Duration) {
	item.Value = bytes.Clone(item.Value)
	kept := fakeItem{item, lease.granted, lease.granted.Add(ttl)}
	switch s.fault {
	case "keeps nothing":
		return
	case "ages from Set":
		kept.granted = time.Now()
	case "ends a ttl after Set":
		kept.ends = time.Now().Add(ttl)
	case "ends too soon":
		kept.ends = lease.granted.Add(ttl / 4)
	case "treats absent as empty":
		kept.Absent = false
	case "cuts":
		kept.Value = kept.Value[:min(len(kept.Value), 1000)]
	case "treats bytes as text":
		kept.Value = bytes.ToValidUTF8(kept.Value, nil)
	}
	if ttl > 0 || s.fault == "accepts any ttl" {
		if ttl <= 0 {
			kept.ends = time.Now().Add(time.Hour)
		}
		s.items[key] = kept
	}
}

func (s *fakeShared) Delete(ctx context.Context, keys ...cache.Key) error {
	if err := s.pause(ctx); err != nil {
		return err
	}
	if s.fault == "deletes few" {
		keys = keys[:min(len(keys), 1000)]
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, key := range keys {
		key = s.key(key)
		switch {
		case s.fault == "deletes no values" && !s.items[key].Absent:
		case s.fault == "deletes no absent entries" && s.items[key].Absent:
		default:
			delete(s.items, key)
		}
		if s.fault != "deletes no leases" {
			delete(s.leases, key)
		}
	}
	if s.fault == "deletes all" {
		clear(s.items)
	}
	return nil
}
