package cache

import (
	"math"
	"sync/atomic"
	"time"
)

// trust is until when what is in memory may be served at all. Without other
// instances that is for ever. With them a [Feed] prolongs it, every second, for
// as long as it hears of what they change. It ends by the clock, without anyone
// ending it: a process that was stopped, and goes on, serves nothing before it
// has heard what it missed.
type trust struct {
	ends     atomic.Int64 // nanoseconds since the cache's start, by the monotonic clock
	endsWall atomic.Int64 // Unix nanoseconds: the monotonic clock stands still while a machine is suspended
	longest  atomic.Int64 // nanoseconds an entry may live, or 0 for its TTL
}

func (t *trust) lasts(elapsed time.Duration, wall int64) bool {
	return int64(elapsed) < t.ends.Load() && wall < t.endsWall.Load()
}

// trusted reports whether trust lasts now.
func (c *Cache[V]) trusted() bool {
	now := time.Now()
	return c.trust.lasts(now.Sub(c.start), now.UnixNano())
}

func (t *trust) forEver() {
	t.ends.Store(math.MaxInt64)
	t.endsWall.Store(math.MaxInt64)
}

// limited reports whether entries live shorter than their TTL: the bus is lost,
// or another instance is silent.
func (t *trust) limited() bool { return t.longest.Load() != 0 }

func (t *trust) limit(ttl time.Duration) time.Duration {
	if longest := time.Duration(t.longest.Load()); longest != 0 {
		return min(ttl, longest)
	}
	return ttl
}

// A Receiver is told by a [Feed] what other instances have changed. A [Cache]
// is one. The Feed makes one call at a time, with a lock held: they return soon
// and do not call the Feed.
type Receiver interface {
	Forget(keys ...Key)
	ForgetGroup(group Key)

	// Doubt says that nobody knows what has changed.
	Doubt()

	// Trust says that, up to the given time, what changes is told. Meanwhile
	// nothing lives longer than ttl, unless that is 0.
	Trust(until time.Time, ttl time.Duration)

	// Alone says that from now on nothing is told, until Trust is called
	// again. Meanwhile nothing lives longer than ttl.
	Alone(ttl time.Duration)
}

// Forget ends the entries of these keys, as a [Cache.Write] of them does.
func (c *Cache[V]) Forget(keys ...Key) { _ = c.Write(nothing, keys...) }

// ForgetGroup ends the entries of a group, as a [Cache.WriteGroup] of it does.
func (c *Cache[V]) ForgetGroup(group Key) { _ = c.WriteGroup(nothing, group) }

func nothing() error { return nil }

// Doubt ends all entries, except that while loads fail those no older than
// [Options.StaleIfError] still answer. Nothing is known to be wrong with any of
// them, and an outage of the bus is most often one of the store too.
func (c *Cache[V]) Doubt() {
	c.doubted.Store(int64(time.Since(c.start)))
	for i := range c.stripes {
		c.stripes[i].word.doubt()
	}
}

// Trust lets entries be served up to the given time, which must come from
// [time.Now], and then no more before Trust or Alone is called again. Entries of
// later loads live no longer than ttl, unless that is 0.
func (c *Cache[V]) Trust(until time.Time, ttl time.Duration) {
	c.trust.longest.Store(int64(ttl))
	c.trust.ends.Store(int64(until.Sub(c.start)))
	c.trust.endsWall.Store(until.UnixNano())
}

// Alone ends all entries, as Doubt does, and lets later ones live no longer than
// ttl.
func (c *Cache[V]) Alone(ttl time.Duration) {
	// First the limit: an entry that was made before it is ended by the doubt.
	c.trust.longest.Store(int64(ttl))
	c.Doubt()
	c.trust.forEver()
}
