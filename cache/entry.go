package cache

import (
	"encoding/binary"
	"math"
	"sync/atomic"
	"time"

	"github.com/keyhatch/keyhatch/internal/guard"
)

// An entry is a fact and how long it may be served. Only when it is to be loaded
// again changes.
type entry[V any] struct {
	key        Key
	epoch      uint64 // of the key's stripe, before the load
	groupEpoch uint64
	began      time.Duration // when the load began: since the cache's start, by the monotonic clock
	beganWall  int64         // the same in Unix nanoseconds, by the wall clock
	ends       time.Duration // until when it may be served, by either clock
	endsWall   int64
	untilWall  int64  // Loaded.Until: after it the value is not even stale
	group      uint16 // an index of Cache.groups; a pointer would cost the garbage collector more
	absent     bool
	ended      bool // Loaded.Ended
	value      V

	// When the value is to be loaded again, since the cache's start: in the last
	// fifth of its life, and later than its end only if it is served stale.
	due atomic.Int64
}

// dueAfter makes the entry due at the given time, but not right after now, or else
// a value that is old when it comes would be loaded over and over.
func (e *entry[V]) dueAfter(at, now time.Duration) {
	e.due.Store(int64(min(max(at, now+(e.ends-e.began)/20), e.ends)))
}

// claimRenewal reports whether the caller must load an entry again that may still
// be served. It does so once in a twentieth of its life.
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

// fresh reports whether e may be served. Either clock can end it: the
// monotonic one when the wall clock is set back, the wall clock when the
// machine was suspended and the monotonic one stood still. The lease comes before
// the epochs: a lease that had ended is only extended after everything was marked
// stale, so that one of the two is seen.
func (c *Cache[V]) fresh(e *entry[V], elapsed time.Duration, wall int64) bool {
	return c.lease.lasts(elapsed, wall) && c.isCurrent(e) && elapsed < e.ends && wall < e.endsWall
}

// isCurrent must read the epochs after the entry was read.
func (c *Cache[V]) isCurrent(e *entry[V]) bool {
	return e.epoch == c.epochOf(&e.key).Load() && e.groupEpoch == c.groups[e.group].Load()
}

// isUnwritten is like isCurrent, but only considers what is known to have changed.
func (c *Cache[V]) isUnwritten(e *entry[V]) bool {
	return !written(e.epoch, c.epochOf(&e.key).Load()) && e.groupEpoch == c.groups[e.group].Load()
}

// age is how long ago the load of an entry began, by the clock that says
// longer.
func (c *Cache[V]) age(e *entry[V], now time.Time) time.Duration {
	return max(now.Sub(c.start)-e.began, time.Duration(now.UnixNano()-e.beganWall))
}

// newEntry makes an entry of what a load that began at the given time found.
func (c *Cache[V]) newEntry(key Key, epoch uint64, began time.Time, found Loaded[V]) *entry[V] {
	began = began.Add(-min(max(found.Age, 0), MaxDuration))
	e := &entry[V]{key: key, epoch: epoch, group: noGroup, began: began.Sub(c.start), beganWall: began.UnixNano()}
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
	// No year overflows. Nothing is served for longer than MaxDuration.
	if until := found.Until; !until.IsZero() && until.Before(began.Add(2*MaxDuration)) {
		left := max(until.Sub(began), 0)
		e.untilWall = began.Add(left).UnixNano()
		e.ends, e.endsWall = min(e.ends, e.began+left), min(e.endsWall, e.untilWall)
	}
	// A value that ends early is not renewed: what follows is known only then.
	if e.ends == e.began+ttl && !e.ended {
		e.dueAfter(e.began+ttl-ttl/5, time.Since(c.start))
	}
	if found.Group != (Key{}) {
		e.group = groupOf(&found.Group)
	}
	return e
}

// shorten takes up to a tenth off, by the key, so that what was loaded together
// does not expire together. It never adds, so that a TTL is a true bound.
func shorten(ttl time.Duration, key *Key) time.Duration {
	part := time.Duration(binary.LittleEndian.Uint16(key[16:]))
	return ttl - ttl/(10<<16)*part
}

// stale returns the value from before in place of a load that has failed, or that
// the circuit breaker has refused, and puts the next load of the key off.
func (c *Cache[V]) stale(key *Key, err error) (V, error) {
	now := time.Now()
	if e := c.lastKnown(key); e != nil && c.mayBeStale(e, now) {
		c.putOff(e, now)
		return e.value, nil
	}
	var none V
	return none, err
}

// mayBeStale reports whether an entry that has ended may be served for lack of
// a load. One that has outlived its Until may not: what it says is known to be
// over, and it may have been prolonged.
func (c *Cache[V]) mayBeStale(e *entry[V], now time.Time) bool {
	return c.age(e, now) < c.opts.StaleIfError && now.UnixNano() < e.untilWall
}

// mayBeSpared reports whether an entry that has ended may be served though no load
// has failed, since its source is slow, or was when it was last tried. A change may
// have been missed if the entry is marked stale, and any change while the bus is
// down.
func (c *Cache[V]) mayBeSpared(e *entry[V], now time.Time) bool {
	return c.lease.lasts(now.Sub(c.start), now.UnixNano()) && !c.lease.limited() && c.isCurrent(e) && c.mayBeStale(e, now)
}

// putOff puts the next load of an entry off that has ended for want of a load: by a
// random part of the time since it ended, at least of a second and at most of a
// TTL. So the source is not asked for everything at once when it is back, and not
// for everything over and over until then.
func (c *Cache[V]) putOff(e *entry[V], now time.Time) {
	age := c.age(e, now)
	pause := min(max(age-(e.ends-e.began), time.Second), c.opts.TTL)
	pause = pause/2 + guard.Jitter(pause/2+1)
	e.due.Store(int64(e.began + age + pause))
}

// isPutOff reports whether an entry that has ended is served for now, after a load
// that has failed. Both clocks count, as the source may be back since long ago
// when a suspended machine goes on.
func (c *Cache[V]) isPutOff(e *entry[V], now time.Time) bool {
	return c.age(e, now) < time.Duration(e.due.Load())-e.began && c.mayBeSpared(e, now)
}

// latest returns the youngest entry of a value in memory, whether or not it may
// be served: its key is known.
func (c *Cache[V]) latest(key *Key) *entry[V] {
	e := c.table.youngest(key)
	if e == nil || e.absent {
		return nil
	}
	return e
}

// lastKnown returns the youngest entry of a value, however old it is, unless it
// was written since.
func (c *Cache[V]) lastKnown(key *Key) *entry[V] {
	e := c.latest(key)
	if e == nil || !c.isUnwritten(e) {
		return nil
	}
	return e
}
