package cache

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/keyhatch/keyhatch/internal/guard"
	"golang.org/x/sync/semaphore"
)

// A Shared is a shared cache below a [Cache]: a server in which all instances keep
// entries, so that an instance that starts need not read everything from the
// store. Implementers adapt a cache server to it.
//
// The fence of a Cache works only within its process, so a Shared has a fence of its own. A
// Get that misses grants a lease, and Set keeps an entry only while its lease is
// valid. Delete ends the lease. So a value that was read before a change cannot
// be set after it.
//
// All methods may be called from many goroutines, Set from up to 256 at once. Each method
// returns when its context ends, and in any case within a fraction of the store's call
// timeout, so that a failing Shared costs no more than a store read.
type Shared interface {
	// Get returns the entry of the key, or the unwrapped [ErrMiss] and a lease for
	// Set. The caller may change the value. An entry that is damaged, or that
	// this service did not write, is a miss. Any other error means that the
	// server cannot be used now; then there is no lease.
	Get(ctx context.Context, key Key) (item Item, lease string, err error)

	// Set keeps an entry for ttl from the time at which the lease was granted. It
	// neither changes nor retains the value. If the lease has ended, Set keeps
	// nothing and returns nil.
	Set(ctx context.Context, key Key, lease string, item Item, ttl time.Duration) error

	// Delete removes the entries of the keys and ends their leases. After it has
	// returned nil, no Get of any instance returns an entry from before the call, nor one that is
	// set later under a lease from before the call. Delete calls the server even while a circuit
	// breaker blocks Get and Set.
	Delete(ctx context.Context, keys ...Key) error
}

// An Item is an entry of a Shared.
type Item struct {
	Value  []byte
	Absent bool          // the store has no value; such entries are kept apart
	Age    time.Duration // at least the time since the lease was granted; Set ignores it
}

// MaxLease is the maximum lifetime of a lease. A [Shared] may end it earlier.
const MaxLease = 10 * time.Second

// sharedTime bounds each call to a Shared, which should have a shorter timeout of its own.
// It is also no more than a quarter of the LoadTimeout, so that there is time left for the
// source.
const sharedTime = 500 * time.Millisecond

// A sharing is a Cache's use of a Shared. A nil sharing does nothing.
//
// After this or another instance has changed a key, the Shared may still have an old entry: it
// may fail to delete the entry, or lose the deletion when it fails over to a replica. So the
// sharing ignores the key's entry until an old one has expired.
type sharing[V any] struct {
	cache   *Cache[V]
	server  Shared
	decode  func(Key, []byte) (Loaded[V], bool)
	failed  func(context.Context, error)
	timeout time.Duration       // bounds each call
	places  *guard.Places       // bounds concurrent calls, except writes
	writes  *semaphore.Weighted // bounds concurrent writes
	budget  sharedBudget

	// The time until which a key or a tag is bypassed, in nanoseconds since the
	// cache's start. Several of them share an element, by hash.
	bypassed [1 << 14]atomic.Int64
}

// Share makes the loads of the cache read s before they call their source. It must be
// called before the first Load.
//
// decode decodes a value that [Loaded.Encode] has encoded. ok is false if the entry cannot
// be used. failed, unless nil, is called if s cannot be used. Both may
// be called from many goroutines.
func (c *Cache[V]) Share(s Shared, decode func(key Key, value []byte) (found Loaded[V], ok bool), failed func(context.Context, error)) {
	c.shared = &sharing[V]{
		cache: c, server: s, decode: decode, failed: failed,
		timeout: min(sharedTime, c.opts.LoadTimeout/4),
		places:  guard.NewPlaces(maxLoads, maxWaiting), writes: semaphore.NewWeighted(maxSharedWrites),
	}
}

// load returns the entry of the Shared. If there is none, it calls load and writes the
// result to the Shared.
func (s *sharing[V]) load(ctx context.Context, key Key, load func(context.Context) (Loaded[V], error)) (Loaded[V], error) {
	if s == nil {
		return load(ctx)
	}
	found, lease, ok := s.read(ctx, key)
	if ok {
		return found, nil
	}
	found, err := load(ctx)
	if err == nil && lease != "" {
		s.write(context.WithoutCancel(ctx), key, lease, found)
	}
	return found, err
}

// read returns an entry, or a lease with which one can be set.
func (s *sharing[V]) read(ctx context.Context, key Key) (found Loaded[V], lease string, ok bool) {
	// While the bus is down, no other instance can invalidate an entry of the Shared.
	if s.isBypassed(key) || s.cache.group != nil && !s.cache.group.Healthy() || !s.budget.allow(time.Since(s.cache.start)) {
		return found, "", false
	}
	item, lease, err := s.get(ctx, key)
	s.budget.record(err == nil)
	if err == nil && !s.isYoung(item) && s.delete(ctx, key) == nil {
		// An old entry cannot renew a cached one. Once the old entry is deleted, there
		// is a lease for a new one.
		item, lease, err = s.get(ctx, key)
	}
	switch {
	case errors.Is(err, ErrMiss):
		return found, lease, false
	case err != nil:
		if s.failed != nil {
			s.failed(ctx, err)
		}
		return found, "", false
	case !s.isYoung(item):
		return found, "", false
	case item.Absent:
		return Loaded[V]{Absent: true, Age: item.Age, fromShared: true}, "", true
	}
	if found, ok = s.decode(key, item.Value); !ok || s.isBypassed(found.Tag) {
		return Loaded[V]{}, "", false
	}
	found.Age, found.fromShared = item.Age, true
	return found, "", true
}

// isYoung reports whether an entry need not be renewed in memory yet. A cached entry is
// renewed in the last fifth of its lifetime, which is up to a tenth shorter than the TTL.
func (s *sharing[V]) isYoung(item Item) bool { return item.Age < s.ttl(item.Absent)*7/10 }

func (s *sharing[V]) ttl(absent bool) time.Duration {
	if absent {
		return s.cache.opts.NegativeTTL
	}
	return s.cache.opts.TTL
}

// write writes the result of a load to the Shared in the background, so that no request
// waits for it. A write that fails does no harm. If too many writes are in progress, write
// does nothing.
func (s *sharing[V]) write(ctx context.Context, key Key, lease string, found Loaded[V]) {
	if !found.Absent && found.Encode == nil || s.cache.closed.Load() || !s.writes.TryAcquire(1) {
		return
	}
	go guard.Call(ctx, s.timeout, func() { s.writes.Release(1) }, func(ctx context.Context) (reply, error) {
		item := Item{Absent: found.Absent}
		if !found.Absent {
			var err error
			if item.Value, err = found.Encode(); err != nil {
				return reply{}, err
			}
		}
		// A change ends the lease. If the Shared could not end it, Set would keep the old value.
		if s.isBypassed(key) || s.isBypassed(found.Tag) {
			return reply{}, nil
		}
		return reply{}, s.server.Set(ctx, key, lease, item, s.ttl(item.Absent))
	})
}

// close waits for the writes in progress until ctx ends, whose error it returns. It does
// not wait for writes that outlast the timeout of a call to the Shared.
func (s *sharing[V]) close(ctx context.Context) error {
	if s == nil {
		return nil
	}
	waiting, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	if s.writes.Acquire(waiting, maxSharedWrites) == nil {
		s.writes.Release(maxSharedWrites)
	}
	return ctx.Err()
}

// invalidate must be called when these keys and tags were changed, before their fence is
// released. It deletes the keys from the Shared, so that instances that do not receive the
// change over the bus read the new values.
func (s *sharing[V]) invalidate(ctx context.Context, keys, tags []Key) error {
	s.bypass(keys, tags)
	if s == nil || len(keys) == 0 {
		return nil
	}
	// The caller's context may have ended, but the change has been made.
	return s.delete(context.WithoutCancel(ctx), keys...)
}

func (s *sharing[V]) bypass(keys, tags []Key) {
	if s == nil {
		return
	}
	until := int64(time.Since(s.cache.start) + s.cache.opts.TTL + MaxLease)
	for _, names := range [][]Key{keys, tags} {
		for i := range names {
			s.bypassOf(&names[i]).Store(until)
		}
	}
}

func (s *sharing[V]) isBypassed(key Key) bool {
	return int64(time.Since(s.cache.start)) < s.bypassOf(&key).Load()
}

func (s *sharing[V]) bypassOf(key *Key) *atomic.Int64 {
	return &s.bypassed[int(binary.LittleEndian.Uint16(key[20:]))%len(s.bypassed)]
}

func (s *sharing[V]) get(ctx context.Context, key Key) (Item, string, error) {
	got, err := s.call(ctx, func(ctx context.Context) (got reply, err error) {
		got.item, got.lease, err = s.server.Get(ctx, key)
		return got, err
	})
	return got.item, got.lease, err
}

func (s *sharing[V]) delete(ctx context.Context, keys ...Key) error {
	_, err := s.call(ctx, func(ctx context.Context) (reply, error) { return reply{}, s.server.Delete(ctx, keys...) })
	if err != nil {
		return fmt.Errorf("cache: delete from the shared cache: %w", err)
	}
	return nil
}

// A reply holds the results of a Shared's Get.
type reply struct {
	item  Item
	lease string
}

// call calls the Shared. It returns in time even if the Shared hangs or panics, so that
// neither a load nor a fence waits for it.
func (s *sharing[V]) call(ctx context.Context, call func(context.Context) (reply, error)) (reply, error) {
	if err := s.places.Acquire(ctx, s.timeout); err != nil {
		return reply{}, err
	}
	return guard.Call(ctx, s.timeout, s.places.Release, func(ctx context.Context) (reply, error) {
		got, err := call(ctx)
		return got, guard.Classify(err, ErrMiss)
	})
}

// maxSharedWrites bounds the concurrent writes. An implementation that sends
// concurrent calls together can send that many in one round trip.
const maxSharedWrites = 256

const (
	// budgetSample is the number of look-ups on which a budget bases its decision.
	budgetSample = 64

	// rareHit is the number of look-ups per hit above which look-ups cost more than they
	// save: a look-up and a write cost about half as much as a load.
	rareHit = 16

	// rareLookups is the maximum number of look-ups per second while they cost more than
	// they save. They fill the Shared for others, and show when hits are frequent again.
	rareLookups = 250
)

// A sharedBudget bounds the look-ups in a Shared while they rarely find an entry, for
// example when all instances start. Such look-ups would only make each load slower. A
// look-up that fails counts as one that finds no entry.
type sharedBudget struct {
	mu          sync.Mutex
	asked, hits int
	second      time.Duration
	spent       int // look-ups that were allowed in that second
}

// allow reports whether a look-up may be made at the given time, counted from any start.
func (b *sharedBudget) allow(at time.Duration) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.asked < budgetSample || b.hits*rareHit >= b.asked {
		return true
	}
	if second := at.Truncate(time.Second); second != b.second {
		b.second, b.spent = second, 0
	}
	b.spent++
	return b.spent <= rareLookups
}

func (b *sharedBudget) record(hit bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.asked++
	if hit {
		b.hits++
	}
	if b.asked == 2*budgetSample { // older look-ups count less
		b.asked, b.hits = b.asked/2, b.hits/2
	}
}
