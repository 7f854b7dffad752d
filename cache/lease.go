package cache

import (
	"math"
	"sync/atomic"
	"time"
)

// A lease holds the deadline after which no cached entry may be served. Without a [Group],
// there is no deadline. A Group extends the lease every second while the changes of other
// instances arrive. A lease ends by itself, so a process that was stopped and continues
// serves no entry until it has received the changes that it missed.
type lease struct {
	ends     atomic.Int64 // nanoseconds since the cache's start, by the monotonic clock
	endsWall atomic.Int64 // Unix nanoseconds, since the monotonic clock stops while a machine is suspended
	longest  atomic.Int64 // maximum lifetime of an entry in nanoseconds, or 0 for its TTL
}

func (l *lease) lasts(now Time) bool {
	return int64(now.elapsed) < l.ends.Load() && now.wall < l.endsWall.Load()
}

// holdsLease reports whether entries may be served now.
func (c *Cache[V]) holdsLease() bool { return c.lease.lasts(c.now()) }

// now returns the time by both clocks. Unlike [Clock.Now], it always reads both.
func (c *Cache[V]) now() Time { return c.opts.Clock.At(time.Now()) }

func (l *lease) forEver() {
	l.ends.Store(math.MaxInt64)
	l.endsWall.Store(math.MaxInt64)
}

// limited reports whether entries expire before their TTL, because the bus is down
// or another instance is silent.
func (l *lease) limited() bool { return l.longest.Load() != 0 }

func (l *lease) limit(ttl time.Duration) time.Duration {
	if longest := time.Duration(l.longest.Load()); longest != 0 {
		return min(ttl, longest)
	}
	return ttl
}

// extendLease implements member. The given time must come from [time.Now].
func (c *Cache[V]) extendLease(until time.Time, ttl time.Duration) {
	c.lease.longest.Store(int64(ttl))
	c.lease.ends.Store(int64(until.Sub(c.start)))
	c.lease.endsWall.Store(until.UnixNano())
}

// disconnect implements member. It marks all entries stale.
func (c *Cache[V]) disconnect(ttl time.Duration) {
	// Set the limit first: MarkStale then marks every entry that was made without it.
	c.lease.longest.Store(int64(ttl))
	c.MarkStale()
	c.lease.forEver()
}

// MarkStale marks all entries stale, since changes of the source may have been missed: the
// next Load of each calls its load function. If that fails, Load serves the entry until it
// is older than [Options.StaleIfError], since the entry is not known to have changed, and
// the source often fails together with the bus.
func (c *Cache[V]) MarkStale() {
	for i := range c.epochs {
		c.epochs[i].markStale()
	}
}
