package cache

import (
	"encoding/binary"
	"math"
	"sync/atomic"
	"time"

	"github.com/keyhatch/keyhatch/internal/guard"
)

// An entry is a cached value, or the fact that there is none, and the time until which it
// may be served. Of its fields, only due and counted change. It has the size of two cache
// lines if the value has 32 bytes. The fields from began on are not read by a hit.
type entry[V any] struct {
	key      Key
	epoch    uint64        // of the key's stripe, before the load
	tagEpoch uint64        // of the tag's stripe
	ends     time.Duration // elapsed time of its expiry
	endsWall int64         // the same by the wall clock, in Unix nanoseconds

	// The elapsed time at which the value must be loaded again: in the last fifth of its
	// lifetime, or after its expiry if it is served stale.
	due atomic.Int64

	tag    uint16 // an index of Cache.tags; a pointer would cost the garbage collector more
	absent bool
	ended  bool // Loaded.Ended

	counted atomic.Uint32 // how many hits ristretto has counted; compared with table.hitLimit

	value V

	began     time.Duration // elapsed time at the start of the load
	untilWall int64         // Loaded.Until: after it, the value is not even served stale
}

// dueAfter makes the entry due at the given time, but not immediately after now.
// Otherwise a value that is already old when it is loaded would be loaded repeatedly.
func (e *entry[V]) dueAfter(at, now time.Duration) {
	e.due.Store(int64(min(max(at, now+(e.ends-e.began)/20), e.ends)))
}

// claimRenewal reports whether the caller must reload an entry that may still be served.
// It returns true at most once in each twentieth of the entry's lifetime.
func (c *Cache[V]) claimRenewal(e *entry[V], now Time) bool {
	due := e.due.Load()
	if int64(now.elapsed) < due {
		return false
	}
	next := min(now.elapsed+(e.ends-e.began)/20, e.ends)
	return e.due.CompareAndSwap(due, int64(next))
}

func (e *entry[V]) answer() (*V, error) {
	if e.absent {
		return nil, ErrNotFound
	}
	return &e.value, nil
}

// fresh reports whether e may be served. Either clock can end it: the monotonic clock if
// the wall clock is set back, and the wall clock if the machine was suspended and the
// monotonic clock stood still. The lease is checked before the epochs: a lease that has
// ended is extended only after all entries were marked stale, so one of the two checks
// fails.
func (c *Cache[V]) fresh(e *entry[V], now Time) bool {
	return c.lease.lasts(now) && c.isUnchanged(e) && now.elapsed < e.ends && now.wall < e.endsWall
}

// isUnchanged reports whether the key and the tag of an entry were neither written nor
// marked stale. It must read the epochs after the entry was read.
func (c *Cache[V]) isUnchanged(e *entry[V]) bool {
	return e.epoch == c.epochOf(&e.key).Load() && e.tagEpoch == c.tags[e.tag].Load()
}

// isUnwritten is like isUnchanged, but ignores stale marks.
func (c *Cache[V]) isUnwritten(e *entry[V]) bool {
	return !written(e.epoch, c.epochOf(&e.key).Load()) && e.tagEpoch == c.tags[e.tag].Load()
}

// age returns the time since the load of an entry began. Of the monotonic clock and
// the wall clock, it uses the one that has advanced more.
func (e *entry[V]) age(now Time) time.Duration {
	beganWall := e.endsWall - int64(e.ends-e.began) // both clocks give it the same lifetime
	return max(now.elapsed-e.began, time.Duration(now.wall-beganWall))
}

// newEntry returns the entry for the result of a load that began at the given time.
func (c *Cache[V]) newEntry(key Key, epoch uint64, began time.Time, found Loaded[V]) *entry[V] {
	start := c.opts.Clock.At(began.Add(-min(max(found.Age, 0), MaxDuration)))
	e := &entry[V]{key: key, epoch: epoch, tag: noTag, began: start.elapsed}
	ttl := c.opts.TTL
	if e.absent = found.Absent; e.absent {
		ttl = c.opts.NegativeTTL
	}
	ttl = shorten(c.lease.limit(ttl), &key)
	e.ends, e.endsWall = e.began+ttl, start.wall+int64(ttl)
	e.due.Store(int64(e.ends))
	if e.absent {
		return e
	}
	e.value, e.ended, e.untilWall = *found.Value, found.Ended, math.MaxInt64
	// A distant year must not overflow. No entry is served for longer than MaxDuration.
	if until := found.Until; !until.IsZero() && until.Before(start.Wall().Add(2*MaxDuration)) {
		left := max(until.Sub(start.Wall()), 0)
		e.untilWall = start.wall + int64(left)
		e.ends, e.endsWall = min(e.ends, e.began+left), min(e.endsWall, e.untilWall)
	}
	// A value that ends early is not renewed, since the source has the next value
	// only after that end.
	if e.ends == e.began+ttl && !e.ended {
		e.dueAfter(e.began+ttl-ttl/5, time.Since(c.start))
	}
	if found.Tag != (Key{}) {
		e.tag = tagOf(&found.Tag)
	}
	return e
}

// shorten subtracts up to a tenth, depending on the key, so that entries that were loaded
// together do not expire together. It never adds, so that a TTL is a true bound.
func shorten(ttl time.Duration, key *Key) time.Duration {
	part := time.Duration(binary.LittleEndian.Uint16(key[16:]))
	return ttl - ttl/(10<<16)*part
}

// stale returns the previous value instead of the error of a load that has failed, or that
// the circuit breaker has refused, and postpones the next load of the key.
func (c *Cache[V]) stale(key *Key, err error) (*V, error) {
	now := c.now()
	if e := c.lastKnown(key); e != nil && c.mayBeStale(e, now) {
		c.postpone(e, now)
		return &e.value, nil
	}
	return nil, err
}

// mayBeStale reports whether an entry that has ended may be served because its load has
// failed. No entry may be served after its Until, since the value itself has ended.
func (c *Cache[V]) mayBeStale(e *entry[V], now Time) bool {
	return e.age(now) < c.opts.StaleIfError && now.wall < e.untilWall
}

// mayBeStaleWithoutFailure reports whether an entry that has ended may be served although
// no load has failed, because its source is slow, or was slow at the last attempt. It returns
// false for an entry that is marked stale, and for every entry while the bus is down, since a
// change may have been missed.
func (c *Cache[V]) mayBeStaleWithoutFailure(e *entry[V], now Time) bool {
	return c.lease.lasts(now) && !c.lease.limited() && c.isUnchanged(e) && c.mayBeStale(e, now)
}

// postpone postpones the next load of an entry that has ended and whose load has failed. The
// pause is a random part of the time since the entry ended; that time counts as at least a second
// and at most a TTL. So entries are not loaded again and again during an outage, and not all at
// once after it.
func (c *Cache[V]) postpone(e *entry[V], now Time) {
	age := e.age(now)
	pause := min(max(age-(e.ends-e.began), time.Second), c.opts.TTL)
	pause = pause/2 + guard.Jitter(pause/2+1)
	e.due.Store(int64(e.began + age + pause))
}

// isPostponed reports whether an entry that has ended may be served for now, because its
// last load has failed. Both clocks count: when a suspended machine continues, the source
// may have recovered long ago.
func (c *Cache[V]) isPostponed(e *entry[V], now Time) bool {
	return e.age(now) < time.Duration(e.due.Load())-e.began && c.mayBeStaleWithoutFailure(e, now)
}

// latest returns the entry with a value, even if it may not be served, or nil. If
// there is one, the key is known.
func (c *Cache[V]) latest(key *Key) *entry[V] {
	e := c.table.find(key)
	if e == nil || e.absent {
		return nil
	}
	return e
}

// lastKnown returns the entry with a value, regardless of its age, unless its key
// was written since.
func (c *Cache[V]) lastKnown(key *Key) *entry[V] {
	e := c.latest(key)
	if e == nil || !c.isUnwritten(e) {
		return nil
	}
	return e
}
