package cache

import (
	"math"
	"sync/atomic"
	"time"
)

// trust holds the deadline after which no cached entry may be served. Without
// other instances there is none. With them, a [Feed] extends it every second while
// their changes arrive. It passes by itself: a process that was stopped and
// continues serves nothing before it has received the changes that it missed.
type trust struct {
	ends     atomic.Int64 // nanoseconds since the cache's start, by the monotonic clock
	endsWall atomic.Int64 // Unix nanoseconds, since the monotonic clock stops while a machine is suspended
	longest  atomic.Int64 // maximum life of an entry in nanoseconds, or 0 for its TTL
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

// limited reports whether entries expire before their TTL, because the bus is down
// or another instance is silent.
func (t *trust) limited() bool { return t.longest.Load() != 0 }

func (t *trust) limit(ttl time.Duration) time.Duration {
	if longest := time.Duration(t.longest.Load()); longest != 0 {
		return min(ttl, longest)
	}
	return ttl
}

// A Receiver gets the changes of other instances from a [Feed]. A [Cache] is one.
// The Feed makes one call at a time and holds a lock meanwhile, so the methods
// must return soon and not call the Feed.
type Receiver interface {
	// Forget invalidates the entries of these keys.
	Forget(keys ...Key)

	// ForgetGroup invalidates the entries of a group.
	ForgetGroup(group Key)

	// Doubt says that changes may have been missed.
	Doubt()

	// Trust says that every change arrives until the given time. Entries loaded
	// from now on expire after ttl, unless that is 0.
	Trust(until time.Time, ttl time.Duration)

	// Alone says that changes do not arrive until Trust is called again. Entries
	// loaded from now on expire after ttl.
	Alone(ttl time.Duration)
}

// Forget invalidates the entries of these keys, as [Cache.Write] does.
func (c *Cache[V]) Forget(keys ...Key) { _ = c.Write(nothing, keys...) }

// ForgetGroup invalidates the entries of a group, as [Cache.WriteGroup] does.
func (c *Cache[V]) ForgetGroup(group Key) { _ = c.WriteGroup(nothing, group) }

func nothing() error { return nil }

// Doubt marks all entries stale: the next Load of each asks the source. If that
// fails, Load serves the entry until it is older than [Options.StaleIfError], since
// no change is known, and the bus and the store often fail together.
func (c *Cache[V]) Doubt() {
	c.doubted.Store(int64(time.Since(c.start)))
	for i := range c.stripes {
		c.stripes[i].word.doubt()
	}
}

// Trust lets entries be served until the given time, which must come from
// [time.Now], and not after it before Trust or Alone is called again. Entries of
// later loads expire after ttl, unless that is 0.
func (c *Cache[V]) Trust(until time.Time, ttl time.Duration) {
	c.trust.longest.Store(int64(ttl))
	c.trust.ends.Store(int64(until.Sub(c.start)))
	c.trust.endsWall.Store(until.UnixNano())
}

// Alone marks all entries stale, as Doubt does, and lets later ones expire after
// ttl.
func (c *Cache[V]) Alone(ttl time.Duration) {
	// The limit comes first: Doubt then marks every entry that was made without it.
	c.trust.longest.Store(int64(ttl))
	c.Doubt()
	c.trust.forEver()
}
