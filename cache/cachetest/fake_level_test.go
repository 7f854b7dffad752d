package cachetest_test

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/keyhatch/keyhatch/cache"
)

// A fakeLevel is a Level within the process, with the given fault.
type fakeLevel struct {
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

func newFakeLevel(fault string) (one, other cache.Shared) {
	l := &fakeLevel{fault: fault, items: map[cache.Key]fakeItem{}, leases: map[cache.Key]fakeLease{}, given: map[string]fakeLease{}}
	if fault == "does not share entries" {
		other, _ = newFakeLevel("")
		return l, other
	}
	return l, l
}

func (l *fakeLevel) key(key cache.Key) cache.Key {
	if l.fault == "shortens keys" {
		clear(key[16:])
	}
	return key
}

func (l *fakeLevel) Get(ctx context.Context, key cache.Key) (cache.Item, string, error) {
	if err := l.over(ctx); err != nil {
		return cache.Item{}, "", err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	key = l.key(key)
	if i, ok := l.items[key]; ok && (time.Now().Before(i.ends) || l.fault == "keeps entries for ever") {
		i.Age = time.Since(i.granted)
		return i.Item, "", nil
	}
	if l.fault == "gives no lease" {
		return cache.Item{}, "", cache.ErrMiss
	}
	lease := l.leases[key]
	if lease.name == "" || !l.stands(lease) {
		lease = fakeLease{fmt.Sprint("lease ", len(l.given)), time.Now()}
		l.leases[key], l.given[lease.name] = lease, lease
	}
	return cache.Item{}, lease.name, cache.ErrMiss
}

// over returns the error of an ended context.
func (l *fakeLevel) over(ctx context.Context) error {
	switch {
	case l.fault == "ignores contexts":
		return nil
	case l.fault == "misses when its context ends" && ctx.Err() != nil:
		return cache.ErrMiss
	}
	return ctx.Err()
}

func (l *fakeLevel) stands(lease fakeLease) bool {
	return time.Since(lease.granted) < cache.MaxLease || l.fault == "leases never end"
}

func (l *fakeLevel) Set(ctx context.Context, key cache.Key, name string, item cache.Item, ttl time.Duration) error {
	if err := l.over(ctx); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	key = l.key(key)
	lease, ok := l.lease(key, name)
	if !ok || !l.stands(lease) {
		return nil
	}
	if l.fault == "checks the lease too soon" {
		l.mu.Unlock()
		time.Sleep(100 * time.Microsecond)
		l.mu.Lock()
	}
	l.keep(key, lease, item, ttl)
	return nil
}

// lease returns the lease that Set may use.
func (l *fakeLevel) lease(key cache.Key, name string) (lease fakeLease, ok bool) {
	switch l.fault {
	case "needs no lease":
		return fakeLease{granted: time.Now()}, true
	case "accepts an empty lease":
		if name == "" {
			return fakeLease{granted: time.Now()}, true
		}
	case "accepts any lease":
		lease, ok = l.given[name]
		return lease, ok
	case "accepts a newer lease":
		lease, ok = l.leases[key]
		return lease, ok
	}
	lease, ok = l.leases[key]
	return lease, ok && lease.name == name
}

func (l *fakeLevel) keep(key cache.Key, lease fakeLease, item cache.Item, ttl time.Duration) {
	item.Value = bytes.Clone(item.Value)
	kept := fakeItem{item, lease.granted, lease.granted.Add(ttl)}
	switch l.fault {
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
	if ttl > 0 || l.fault == "accepts any ttl" {
		if ttl <= 0 {
			kept.ends = time.Now().Add(time.Hour)
		}
		l.items[key] = kept
	}
}

func (l *fakeLevel) Delete(ctx context.Context, keys ...cache.Key) error {
	if err := l.over(ctx); err != nil {
		return err
	}
	if l.fault == "deletes few" {
		keys = keys[:min(len(keys), 1000)]
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, key := range keys {
		key = l.key(key)
		switch {
		case l.fault == "deletes no values" && !l.items[key].Absent:
		case l.fault == "deletes no absent entries" && l.items[key].Absent:
		default:
			delete(l.items, key)
		}
		if l.fault != "deletes no leases" {
			delete(l.leases, key)
		}
	}
	if l.fault == "deletes all" {
		clear(l.items)
	}
	return nil
}
