package cache

import (
	"context"
	"maps"
	"slices"
	"time"
)

// A flightID identifies the load of a key. It includes the epochs, so that no caller joins
// a load that began before the latest write.
type flightID struct {
	key        Key
	epoch, gen uint64
}

// A flight is one load that its callers share.
type flight[V any] struct {
	id      flightID
	ctx     context.Context // ends when the flight is abandoned
	abandon context.CancelFunc
	began   time.Time

	// Guarded by Cache.flying.
	callers int
	started time.Time // time at which it got its place

	landed chan struct{} // closed when entry and err are set
	entry  *entry[V]
	err    error
}

// join returns the flight with this ID, and reports whether the caller must run it. f is
// nil if too many callers wait for the flight. Otherwise the caller must call leave.
func (c *Cache[V]) join(ctx context.Context, id flightID) (f *flight[V], leads bool) {
	c.flying.Lock()
	defer c.flying.Unlock()
	f, ok := c.flights[id]
	if !ok {
		f = &flight[V]{id: id, began: time.Now(), landed: make(chan struct{})}
		f.ctx, f.abandon = context.WithCancel(context.WithoutCancel(ctx)) //nolint:gosec // end calls it
		c.flights[id] = f
	}
	if f.callers >= maxWaiting && !f.started.IsZero() && time.Since(f.started) >= c.wait() {
		return nil, false
	}
	f.callers++
	return f, !ok
}

// leave abandons a flight that waits for its place when its last caller leaves.
func (c *Cache[V]) leave(f *flight[V]) {
	c.flying.Lock()
	defer c.flying.Unlock()
	if f.callers--; f.callers == 0 && f.started.IsZero() {
		c.end(f)
	}
}

// takeOff records that a flight has got its place and starts. It returns false if the
// flight has no callers any more.
func (c *Cache[V]) takeOff(f *flight[V]) bool {
	c.flying.Lock()
	defer c.flying.Unlock()
	if f.callers > 0 {
		f.started = time.Now()
	}
	return f.callers > 0
}

func (c *Cache[V]) land(f *flight[V], e *entry[V], err error) {
	c.flying.Lock()
	defer c.flying.Unlock()
	f.entry, f.err = e, err
	close(f.landed)
	c.end(f)
}

// end prevents callers from joining the flight.
func (c *Cache[V]) end(f *flight[V]) {
	f.abandon()
	if c.flights[f.id] == f {
		delete(c.flights, f.id)
	}
}

// awaitFlights waits for the current flights.
func (c *Cache[V]) awaitFlights(ctx context.Context) error {
	c.flying.Lock()
	flights := slices.Collect(maps.Values(c.flights))
	c.flying.Unlock()
	for _, f := range flights {
		select {
		case <-f.landed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}
