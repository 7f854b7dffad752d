package cachetest

import (
	"bytes"
	"crypto/rand"
	"testing"
	"time"

	"github.com/keyhatch/keyhatch/cache"
)

func newKey() (key cache.Key) {
	rand.Read(key[:])
	return key
}

// miss fails unless Get misses, and returns the lease.
func miss(t *testing.T, l cache.Shared, key cache.Key, rule string) (lease string) {
	t.Helper()
	item, lease, err := l.Get(t.Context(), key)
	if err != cache.ErrMiss {
		t.Fatalf("%s: got %.40q, absent %v, error %v, want a miss", rule, item.Value, item.Absent, err)
	}
	if lease == "" {
		t.Fatalf("%s: a miss must grant a lease, got none", rule)
	}
	return lease
}

func set(t *testing.T, l cache.Shared, key cache.Key, lease string, item cache.Item, ttl time.Duration) {
	t.Helper()
	if err := l.Set(t.Context(), key, lease, item, ttl); err != nil {
		t.Fatalf("Set must return nil, whether the lease is valid or not: got %v", err)
	}
}

func deleteKeys(t *testing.T, l cache.Shared, keys ...cache.Key) {
	t.Helper()
	if err := l.Delete(t.Context(), keys...); err != nil {
		t.Fatalf("Delete: %v", err)
	}
}

// fill sets an item under the lease of a miss.
func fill(t *testing.T, l cache.Shared, key cache.Key, item cache.Item, ttl time.Duration) {
	t.Helper()
	set(t, l, key, miss(t, l, key, "a key that was never set must miss"), item, ttl)
}

// holds fails unless Get returns the item. It returns the item's age.
func holds(t *testing.T, l cache.Shared, key cache.Key, want cache.Item, rule string) time.Duration {
	t.Helper()
	got, _, err := l.Get(t.Context(), key)
	if err != nil {
		t.Fatalf("%s: got error %v", rule, err)
	}
	if got.Absent != want.Absent || !bytes.Equal(got.Value, want.Value) {
		t.Fatalf("%s: got %.40q of %d bytes, absent %v, want %.40q of %d bytes, absent %v", rule,
			got.Value, len(got.Value), got.Absent, want.Value, len(want.Value), want.Absent)
	}
	if got.Age < 0 || got.Age > long {
		t.Fatalf("Age must be the time since the lease was granted: got %v", got.Age)
	}
	return got.Age
}

func value(s string) cache.Item { return cache.Item{Value: []byte(s)} }

var absent = cache.Item{Absent: true}
