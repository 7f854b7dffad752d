package cache

import (
	"encoding/binary"
	"time"
)

// heldBack answers in the place of a load that is not to begin.
func (c *Cache[V]) heldBack(key *Key, s *stripe[V]) (v V, err error, held bool) {
	now := time.Now()
	if v, ok := c.spared(key, s, now); ok {
		return v, nil, true
	}
	if c.breaker.lets(key, now.Sub(c.start)) {
		return v, nil, false
	}
	v, err = c.stale(key, s, c.breaker.refusal())
	return v, err, true
}

// stale answers for a load that failed.
func (c *Cache[V]) stale(key *Key, s *stripe[V], err error) (V, error) {
	var zero V
	if c.opts.StaleIfError == 0 || !c.gate.enter(key) {
		return zero, err
	}
	defer c.gate.leave(key)
	if e := c.lastKnown(key, s); e != nil && c.mayBeStale(e, time.Now()) {
		return e.value, nil
	}
	return zero, err
}

// mayBeStale reports whether an entry that has ended may be served for lack of
// a load. One that has outlived its Until may not: what it says is known to be
// over, and it may have been prolonged.
func (c *Cache[V]) mayBeStale(e *entry[V], now time.Time) bool {
	return c.age(e, now) < c.opts.StaleIfError && now.UnixNano() < e.untilWall
}

// spared returns a value that ended during an outage which is over, as long as
// it is not its turn to be loaded again. After an outage everything has ended;
// loads are spread over a TTL, as they were before, so that the store, just
// back, is not asked for all of it at once. Doubted values have no such turn, as
// something is known to have been missed, and there are none while the bus is
// lost.
func (c *Cache[V]) spared(key *Key, s *stripe[V], now time.Time) (v V, ok bool) {
	o := c.breaker.over.Load()
	if c.opts.StaleIfError == 0 || o == nil || c.trust.limited() || !within(now, o.ended, c.turn(key)) || !c.gate.enter(key) {
		return v, false
	}
	defer c.gate.leave(key)
	e := c.lastKnown(key, s)
	if e == nil || !c.trust.lasts(now.Sub(c.start), now.UnixNano()) || !c.undoubted(e, s) ||
		e.ends < o.began.Sub(c.start) || e.ends > o.ended.Sub(c.start) || !c.mayBeStale(e, now) {
		return v, false
	}
	return e.value, true
}

// within reports whether less than d has passed since t, by both clocks.
func within(now, t time.Time, d time.Duration) bool {
	return now.Sub(t) < d && now.UnixNano()-t.UnixNano() < int64(d)
}

// turn is when a key is loaded again after an outage: evenly spread over a TTL,
// by the key.
func (c *Cache[V]) turn(key *Key) time.Duration {
	return c.opts.TTL / (1 << 16) * time.Duration(binary.LittleEndian.Uint16(key[18:]))
}

// lastKnown returns the youngest entry of a value that was not written since,
// however old it is. The gate must have been entered.
func (c *Cache[V]) lastKnown(key *Key, s *stripe[V]) (known *entry[V]) {
	kept, _ := c.present.Get(shelfID(key))
	for _, e := range []*entry[V]{s.present.Load(), kept} {
		if e != nil && equal(&e.key, key) && c.unwritten(e, s) && (known == nil || e.began > known.began) {
			known = e
		}
	}
	return known
}
