package cache

import (
	"encoding/binary"
	"math"
	"sync/atomic"
	"time"

	"github.com/keyhatch/keyhatch/internal/guard"
)

// An entry is a cached value, or the fact that there is none, and the time until which it
// may be served. Of its fields, only due changes.
type entry[V any] struct {
	key       Key
	epoch     uint64 // of the key's stripe, before the load
	tagEpoch  uint64
	began     time.Duration // start of the load, counted from the cache's start, by the monotonic clock
	beganWall int64         // the same in Unix nanoseconds, by the wall clock
	ends      time.Duration // time of its expiry; endsWall is the same by the wall clock
	endsWall  int64
	untilWall int64  // Loaded.Until: after it, the value is not even served stale
	tag       uint16 // an index of Cache.tags; a pointer would cost the garbage collector more
	absent    bool
	ended     bool // Loaded.Ended
	value     V

	// The time at which the value must be loaded again, counted from the cache's start: in
	// the last fifth of its lifetime, or after its expiry if it is served stale.
	due atomic.Int64
}

// dueAfter makes the entry due at the given time, but not immediately after now.
// Otherwise a value that is already old when it is loaded would be loaded repeatedly.
func (e *entry[V]) dueAfter(at, now time.Duration) {
	e.due.Store(int64(min(max(at, now+(e.ends-e.began)/20), e.ends)))
}

// claimRenewal reports whether the caller must reload an entry that may still be served.
// It returns true at most once in each twentieth of the entry's lifetime.
func (c *Cache[V]) claimRenewal(e *entry[V], now time.Time) bool {
	due, elapsed := e.due.Load(), now.Sub(c.start)
	if int64(elapsed) < due {
		return false
	}
	next := min(elapsed+(e.ends-e.began)/20, e.ends)
	return e.due.CompareAndSwap(due, int64(next))
}

func (e *entry[V]) answer() (V, error) {
	if e.absent {
		return e.value, ErrNotFound
	}
	return e.value, nil
}

// fresh reports whether e may be served. Either clock can end it: the monotonic clock if
// the wall clock is set back, and the wall clock if the machine was suspended and the
// monotonic clock stood still. The lease is checked before the epochs: a lease that has
// ended is extended only after all entries were marked stale, so one of the two checks
// fails.
func (c *Cache[V]) fresh(e *entry[V], elapsed time.Duration, wall int64) bool {
	return c.lease.lasts(elapsed, wall) && c.isCurrent(e) && elapsed < e.ends && wall < e.endsWall
}

// isCurrent must read the epochs after the entry was read.
func (c *Cache[V]) isCurrent(e *entry[V]) bool {
	return e.epoch == c.epochOf(&e.key).Load() && e.tagEpoch == c.tags[e.tag].Load()
}

// isUnwritten is like isCurrent, but ignores stale marks.
func (c *Cache[V]) isUnwritten(e *entry[V]) bool {
	return !written(e.epoch, c.epochOf(&e.key).Load()) && e.tagEpoch == c.tags[e.tag].Load()
}

// age returns the time since the load of an entry began. Of the monotonic clock and
// the wall clock, it uses the one that has advanced more.
func (c *Cache[V]) age(e *entry[V], now time.Time) time.Duration {
	return max(now.Sub(c.start)-e.began, time.Duration(now.UnixNano()-e.beganWall))
}

// newEntry returns the entry for the result of a load that began at the given time.
func (c *Cache[V]) newEntry(key Key, epoch uint64, began time.Time, found Loaded[V]) *entry[V] {
	began = began.Add(-min(max(found.Age, 0), MaxDuration))
	e := &entry[V]{key: key, epoch: epoch, tag: noTag, began: began.Sub(c.start), beganWall: began.UnixNano()}
	ttl := c.opts.TTL
	if e.absent = found.Absent; e.absent {
		ttl = c.opts.NegativeTTL
	}
	ttl = shorten(c.lease.limit(ttl), &key)
	e.ends, e.endsWall = e.began+ttl, began.Add(ttl).UnixNano()
	e.due.Store(int64(e.ends))
	if e.absent {
		return e
	}
	e.value, e.ended, e.untilWall = found.Value, found.Ended, math.MaxInt64
	// A distant year must not overflow. No entry is served for longer than MaxDuration.
	if until := found.Until; !until.IsZero() && until.Before(began.Add(2*MaxDuration)) {
		left := max(until.Sub(began), 0)
		e.untilWall = began.Add(left).UnixNano()
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
func (c *Cache[V]) stale(key *Key, err error) (V, error) {
	now := time.Now()
	if e := c.lastKnown(key); e != nil && c.mayBeStale(e, now) {
		c.postpone(e, now)
		return e.value, nil
	}
	var none V
	return none, err
}

// mayBeStale reports whether an entry that has ended may be served because its load has
// failed. No entry may be served after its Until, since the value itself has ended.
func (c *Cache[V]) mayBeStale(e *entry[V], now time.Time) bool {
	return c.age(e, now) < c.opts.StaleIfError && now.UnixNano() < e.untilWall
}

// mayBeStaleWithoutFailure reports whether an entry that has ended may be served although
// no load has failed, because its source is slow, or was slow at the last attempt. It returns
// false for an entry that is marked stale, and for every entry while the bus is down, since a
// change may have been missed.
func (c *Cache[V]) mayBeStaleWithoutFailure(e *entry[V], now time.Time) bool {
	return c.lease.lasts(now.Sub(c.start), now.UnixNano()) && !c.lease.limited() && c.isCurrent(e) && c.mayBeStale(e, now)
}

// postpone postpones the next load of an entry that has ended and whose load has failed. The
// pause is a random part of the time since the entry ended; that time counts as at least a second
// and at most a TTL. So entries are not loaded again and again during an outage, and not all at
// once after it.
func (c *Cache[V]) postpone(e *entry[V], now time.Time) {
	age := c.age(e, now)
	pause := min(max(age-(e.ends-e.began), time.Second), c.opts.TTL)
	pause = pause/2 + guard.Jitter(pause/2+1)
	e.due.Store(int64(e.began + age + pause))
}

// isPostponed reports whether an entry that has ended may be served for now, because its
// last load has failed. Both clocks count: when a suspended machine continues, the source
// may have recovered long ago.
func (c *Cache[V]) isPostponed(e *entry[V], now time.Time) bool {
	return c.age(e, now) < time.Duration(e.due.Load())-e.began && c.mayBeStaleWithoutFailure(e, now)
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
