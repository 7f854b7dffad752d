// Package cache keeps values in memory, and never serves one that was changed through the
// cache after it was loaded.
//
// [Cache] is a get-or-load cache with a fence in front. It finds entries in slots, without a
// lock, and ristretto decides which entries to keep. Neither can guarantee that a revoked
// key is never accepted again: a load that began before the revocation may fill the cache
// afterwards. So correctness does not depend on what they hold. Every entry carries the
// epoch that its key had before the entry was loaded. Every write advances the
// epoch, and an entry is served only while the two are equal. [Cache.Change] is
// the one way to make a write.
//
// A [Group] joins the caches of several instances over a [Bus]. This is the time
// after which an instance sees a change that another one made, with n instances,
// while the store works:
//
//   - milliseconds, if the message arrives;
//   - 1 s, if the message is lost and the next one of its sender arrives, or 10 s
//     if messages were lost, damaged or forged in the 10 s before;
//   - 13 s, if no message arrives: the bus counts as down after 3 s, and entries
//     then expire after 10 s;
//   - max(1 s, n²/2500 s) + 13 s, if the broker is split, so that the instance
//     receives its own heartbeats but not those of the sender. A sender that is
//     silent for five minutes counts as gone;
//   - in every case, the TTL of the entries.
//
// Without a Group, or while loads fail or are slow, the bound is the longer of
// [Options.TTL] and [Options.StaleIfError].
//
// If k instances are silent at once, the first of them is detected k times as fast, after
// about n²/(2500·k) s.
//
// A [Shared] is a cache that instances share. A Cache reads it before the store; see
// [Cache.Share].
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
)

var (
	// ErrMiss is returned by Get when the caller must call Load.
	ErrMiss = errors.New("cache: miss")

	// ErrOverloaded is returned by Load if it did not call load, because too many
	// loads were running and too many callers waited. It says nothing about the
	// source of the values.
	ErrOverloaded = errors.New("cache: too many loads, this one was refused")

	// ErrNotFound is returned if a load found that a key has no value.
	ErrNotFound = errors.New("cache: not found")
)

// A Key identifies a value. Its bytes must be random or a hash such as SHA-256, since they
// spread the keys over the parts of the cache.
type Key [32]byte

// equal reports whether a and b are equal, in constant time.
func equal(a, b *Key) bool {
	le := binary.LittleEndian
	return (le.Uint64(a[0:])^le.Uint64(b[0:]))|(le.Uint64(a[8:])^le.Uint64(b[8:]))|
		(le.Uint64(a[16:])^le.Uint64(b[16:]))|(le.Uint64(a[24:])^le.Uint64(b[24:])) == 0
}

// Options configure a Cache. The zero value of each field is its default.
// Durations are at most [MaxDuration].
type Options struct {
	Size         int           // values kept in memory, besides about a tenth as many ErrNotFound; default 100,000
	TTL          time.Duration // maximum lifetime of a value; default 60 s
	NegativeTTL  time.Duration // maximum lifetime of an ErrNotFound; default 5 s
	StaleIfError time.Duration // age up to which a value is served after its TTL if its load fails or is slow; default 0: no older than TTL
	LoadTimeout  time.Duration // bounds each load, not counting the wait for its place; default 3 s
	Clock        *Clock        // the clock whose Now the callers of Get pass; caches may share it; default a new one, which suffices only if Get is not called
}

// MaxDuration is the maximum of each duration in Options. The sum of two does not overflow.
const MaxDuration = 366 * 24 * time.Hour

const (
	// maxLoads bounds the concurrent loads of all keys. Merging the loads of a key does not bound
	// the loads of all keys.
	maxLoads    = 64
	maxUnknown  = maxLoads / 4 // part of maxLoads for keys that are not known
	maxKnown    = maxLoads - maxUnknown
	maxRenewals = maxLoads / 8 // part of maxKnown for values that may still be served; less than the connections of a typical store

	// maxLate bounds the loads of values that will soon expire.
	maxLate = maxKnown - maxRenewals

	// maxWaiting bounds the loads of unknown keys that wait for a place, and the
	// callers that wait for the same slow load.
	maxWaiting = 1024

	// patience bounds how long a caller waits for a load while a stale value may be served.
	patience = 50 * time.Millisecond
)

// A Cache keeps values of type V. Its methods may be called from many goroutines. Callers share
// the values, and may change them only with atomic operations.
//
// An entry takes the size of V and 96 bytes, so it takes two cache lines if V has at most 32 bytes.
// Put into V what every hit needs, and the rest behind a pointer.
type Cache[V any] struct {
	epochs [stripes]epoch
	tags   [stripes + 1]tagEpoch // the last one is noTag
	gen    atomic.Uint64         // number of writes of tags that have ended
	table  table[V]
	lease  lease
	start  time.Time // of the clock

	group  *Group      // nil unless the cache has joined one
	shared *sharing[V] // nil unless Share was called

	// Places of loads: for known keys, and for unknown keys, which have no value in
	// memory. A renewal first takes one of the places for renewals.
	known, unknown, renewals, lateRenewals *guard.Places

	breaker *guard.Breaker
	slow    atomic.Int64 // loads in progress for longer than patience
	hung    atomic.Int64 // calls in progress for longer than the LoadTimeout
	served  atomic.Int64 // time at which the source last served a call, in nanoseconds since the start
	flying  sync.Mutex
	flights map[flightID]*flight[V] // flights that can be joined; guarded by flying
	opts    Options

	closing sync.Mutex  // serializes Close
	closed  atomic.Bool // Close was called
	fenced  atomic.Bool // Close has begun its write
	ended   bool        // Close has returned nil
}

// New returns an empty cache. Close it to end its goroutines. It returns an error if an option is
// outside its bounds.
func New[V any](opts Options) (*Cache[V], error) {
	opts = opts.withDefaults()
	if opts.Size < 0 {
		return nil, fmt.Errorf("cache: want a size of 0 or more, got %d", opts.Size)
	}
	for _, d := range []time.Duration{opts.TTL, opts.NegativeTTL, opts.StaleIfError, opts.LoadTimeout} {
		if d < 0 || d > MaxDuration {
			return nil, fmt.Errorf("cache: want durations of 0 to %v, got %v", MaxDuration, d)
		}
	}
	c := &Cache[V]{
		start: opts.Clock.start, opts: opts,
		known:        guard.NewPlaces(maxKnown, maxWaiting),
		unknown:      guard.NewPlaces(maxUnknown, maxWaiting),
		renewals:     guard.NewPlaces(maxRenewals, maxWaiting),
		lateRenewals: guard.NewPlaces(maxLate, maxWaiting),
		breaker:      guard.NewBreaker(opts.LoadTimeout / 4),
		flights:      map[flightID]*flight[V]{},
	}
	c.lease.forEver()
	if err := c.table.open(opts.Size); err != nil {
		return nil, err
	}
	return c, nil
}

// joined implements member.
func (c *Cache[V]) joined(g *Group) { c.group = g }

func (o Options) withDefaults() Options {
	if o.Size == 0 {
		o.Size = 100_000
	}
	if o.TTL == 0 {
		o.TTL = time.Minute
	}
	if o.NegativeTTL == 0 {
		o.NegativeTTL = 5 * time.Second
	}
	if o.LoadTimeout == 0 {
		o.LoadTimeout = 3 * time.Second
	}
	if o.Clock == nil {
		o.Clock = NewClock()
	}
	return o
}

// Get returns the cached value, or [ErrNotFound] if the key is known to have no value. It
// returns [ErrMiss] if the caller must call Load: there is no entry, or it is time to
// renew it. Get does not allocate and does not wait. now must be the current time by
// [Options.Clock]. It is an argument because callers need the time for their own checks too.
func (c *Cache[V]) Get(key Key, now Time) (*V, error) {
	e := c.find(&key, now)
	if e == nil || int64(now.elapsed) >= e.due.Load() {
		return nil, ErrMiss
	}
	return e.answer()
}

// A Version identifies the cached value of a key without a tag. It has no pointers. Versions are
// comparable.
type Version struct {
	epoch    uint64 // of the key's stripe
	due      int64  // elapsed time at which the value expires or must be loaded again
	endsWall int64  // wall clock at which the value expires, in Unix nanoseconds
	stripe   uint32 // of the key
}

// GetVersion is like Get, and also returns the Version of the value. While [Cache.IsCurrent]
// returns true for it, Get would return the same value. The Version is zero, and never current,
// if there is no value or if the value has a tag.
func (c *Cache[V]) GetVersion(key Key, now Time) (*V, Version, error) {
	e := c.find(&key, now)
	if e == nil {
		return nil, Version{}, ErrMiss
	}
	due := e.due.Load()
	if int64(now.elapsed) >= due {
		return nil, Version{}, ErrMiss
	}
	v, err := e.answer()
	if err != nil || e.tag < noTag {
		return v, Version{}, err
	}
	due = min(due, int64(e.ends)) // due is later than ends if a load has failed while the wall clock was ahead
	return v, Version{e.epoch, due, e.endsWall, uint32(stripeOf(&key))}, nil
}

// IsCurrent reports whether the value of a version was not invalidated, has not expired and
// need not be renewed. It is much faster than Get. It returns false for the zero Version.
func (c *Cache[V]) IsCurrent(v *Version, now Time) bool {
	return c.lease.lasts(now) && c.epochs[v.stripe].Load() == v.epoch && int64(now.elapsed) < v.due && now.wall < v.endsWall
}

// find returns an entry that may be served at the given time, or nil.
func (c *Cache[V]) find(key *Key, now Time) *entry[V] {
	if e := c.table.get(key); e != nil && c.fresh(e, now) {
		return e
	}
	return nil
}

// Close waits for the loads and the writes to the shared cache that are in progress, and
// ends the cache's goroutines. It returns an error only if ctx ends. It may be called
// again, even after an error. After Close, Get misses, and Load loads without filling the
// cache.
func (c *Cache[V]) Close(ctx context.Context) error {
	c.closing.Lock()
	defer c.closing.Unlock()
	if !c.closed.Swap(true) {
		// A write that never ends: no entry is served or filled any more.
		for i := range c.epochs {
			c.epochs[i].begin()
		}
		c.fenced.Store(true)
	}
	if c.ended {
		return nil
	}
	err := c.awaitFlights(ctx)
	if err == nil {
		err = c.shared.close(ctx)
	}
	if err == nil {
		err = c.table.close(ctx)
	}
	if err != nil {
		return fmt.Errorf("cache: close: %w", err)
	}
	c.ended = true
	return nil
}
