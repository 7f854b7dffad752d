package cache

import (
	"time"

	"github.com/keyhatch/keyhatch/internal/guard"
)

// stale returns the value from before in place of a load that has failed, or that
// the circuit breaker has refused, and puts the next load of the key off.
func (c *Cache[V]) stale(key *Key, s *stripe[V], err error) (V, error) {
	now := time.Now()
	if e := c.lastKnown(key, s); e != nil && c.mayBeStale(e, now) {
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
func (c *Cache[V]) mayBeSpared(e *entry[V], s *stripe[V], now time.Time) bool {
	return c.lease.lasts(now.Sub(c.start), now.UnixNano()) && !c.lease.limited() && c.isCurrent(e, s) && c.mayBeStale(e, now)
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
func (c *Cache[V]) isPutOff(e *entry[V], s *stripe[V], now time.Time) bool {
	return c.age(e, now) < time.Duration(e.due.Load())-e.began && c.mayBeSpared(e, s, now)
}

// latest returns the youngest entry of a value in memory, whether or not it may
// be served: its key is known.
func (c *Cache[V]) latest(key *Key) *entry[V] {
	if !c.gate.enter(key) {
		return nil
	}
	defer c.gate.leave(key)
	e := c.stripe(key).present.Load()
	if e != nil && !equal(&e.key, key) {
		e = nil
	}
	kept, _ := c.present.Get(shelfID(key))
	if kept != nil && equal(&kept.key, key) && (e == nil || kept.began > e.began) {
		e = kept
	}
	return e
}

// lastKnown returns the youngest entry of a value, however old it is, unless it
// was written since.
func (c *Cache[V]) lastKnown(key *Key, s *stripe[V]) *entry[V] {
	e := c.latest(key)
	if e == nil || !c.isUnwritten(e, s) {
		return nil
	}
	return e
}
