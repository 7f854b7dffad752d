package cache

import (
	"context"
	"encoding/binary"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/dgraph-io/ristretto/v2"
)

// A table keeps the entries of a cache. Only this type uses ristretto, which decides which
// entries to keep. ristretto needs care: its Close panics during any other call, Get may
// return an entry for a while after Del, and of two quick Sets of a key the older may win.
// So get may return an entry that put has replaced, and the caller must compare epochs.
//
// Absent entries are kept separately, so that a flood of unknown keys cannot evict known
// ones.
type table[V any] struct {
	latest          [stripes]latest[V] // serves most hits without calling ristretto
	present, absent *ristretto.Cache[uint64, *entry[V]]
	gate            gate

	// If strict is not set, an entry from before the last outdate may replace a later
	// one.
	strict   bool
	start    time.Time
	outdated atomic.Int64 // time of the last outdate, in nanoseconds since start
}

// latest holds the entries of a stripe that were put or read last.
type latest[V any] struct{ present, absent atomic.Pointer[entry[V]] }

// quickSets is the time in which the older of two Sets can win in ristretto.
const quickSets = 100 * time.Millisecond

// open creates a table for size values, and a tenth as many absent entries.
func (t *table[V]) open(size int, strict bool) (err error) {
	t.strict, t.start = strict, time.Now()
	if t.present, err = newRistretto[V](size); err != nil {
		return err
	}
	if t.absent, err = newRistretto[V](max(size/10, 1)); err != nil {
		t.present.Close()
	}
	return err
}

func newRistretto[V any](size int) (*ristretto.Cache[uint64, *entry[V]], error) {
	r, err := ristretto.NewCache(&ristretto.Config[uint64, *entry[V]]{
		NumCounters: 10 * int64(size),
		MaxCost:     int64(size),
		BufferItems: 64,
		// Without this, ristretto adds the size of its own item in bytes to the cost of an entry,
		// which is 1. A cache of 10,000 entries would hold only 175.
		IgnoreInternalCost: true,
		KeyToHash:          func(k uint64) (uint64, uint64) { return k, 0 },
	})
	if err != nil {
		return nil, fmt.Errorf("cache: size %d: %w", size, err)
	}
	return r, nil
}

// idOf returns the id of a key in ristretto.
func idOf(key *Key) uint64 { return binary.LittleEndian.Uint64(key[0:]) }

// get returns an entry of the key, or nil. It does not allocate and does not wait.
func (t *table[V]) get(key *Key) *entry[V] {
	l := &t.latest[stripeOf(key)]
	if e := l.present.Load(); e != nil && equal(&e.key, key) {
		return e
	}
	if e := l.absent.Load(); e != nil && equal(&e.key, key) {
		return e
	}
	e := t.find(key)
	if e != nil {
		l.keep(e)
	}
	return e
}

// youngest returns the entry of the key whose load began last, or nil.
func (t *table[V]) youngest(key *Key) *entry[V] {
	l := &t.latest[stripeOf(key)]
	e := younger(l.present.Load(), l.absent.Load(), key)
	return younger(e, t.find(key), key)
}

// find returns an entry of the key from ristretto, or nil.
func (t *table[V]) find(key *Key) *entry[V] {
	if !t.gate.enter(key) {
		return nil
	}
	defer t.gate.leave(key)
	present, _ := t.present.Get(idOf(key))
	absent, _ := t.absent.Get(idOf(key))
	return younger(present, absent, key)
}

// younger returns the one of two entries whose load began later. It ignores an entry that is nil
// or of another key.
func younger[V any](a, b *entry[V], key *Key) *entry[V] {
	switch {
	case a == nil || !equal(&a.key, key):
		if b == nil || !equal(&b.key, key) {
			return nil
		}
		return b
	case b == nil || !equal(&b.key, key) || b.began <= a.began:
		return a
	}
	return b
}

// put keeps an entry, unless ristretto prefers others. It returns false if the key's epoch
// has changed.
func (t *table[V]) put(e *entry[V], fence *epoch) bool {
	if !t.endOlder(e, fence) || !t.gate.enter(&e.key) {
		return false
	}
	defer t.gate.leave(&e.key)
	if e.absent {
		t.absent.Set(idOf(&e.key), e, 1)
	} else {
		t.present.Set(idOf(&e.key), e, 1)
	}
	t.latest[stripeOf(&e.key)].keep(e)
	return true
}

// keep stores the entry, and removes the key's entry of the other kind, which is older.
func (l *latest[V]) keep(e *entry[V]) {
	to, other := &l.present, &l.absent
	if e.absent {
		to, other = other, to
	}
	to.Store(e)
	if o := other.Load(); o != nil && equal(&o.key, &e.key) {
		other.CompareAndSwap(o, nil)
	}
}

// outdate prevents the entries that were loaded until now from replacing later ones. Call it
// before marking entries stale.
func (t *table[V]) outdate() { t.outdated.Store(int64(time.Since(t.start))) }

// endOlder advances the epoch if an entry from before the last outdate may replace e in
// ristretto, and could be served again in an outage. It returns false if the epoch has
// changed since.
func (t *table[V]) endOlder(e *entry[V], fence *epoch) bool {
	if !t.strict || int64(time.Since(t.start))-t.outdated.Load() >= int64(quickSets) {
		return true
	}
	ended := fence.CompareAndSwap(e.epoch, e.epoch+oneVersion)
	e.epoch += oneVersion
	return ended
}

// close waits for other calls in progress and closes ristretto. If ctx ends, it returns
// ctx's error and may be called again. After close, get finds only the latest entries, and
// put keeps none.
func (t *table[V]) close(ctx context.Context) error {
	if err := t.gate.close(ctx); err != nil {
		return err
	}
	t.present.Close()
	t.absent.Close()
	return nil
}

// A gate delays ristretto's Close, which panics during any other call, until the calls in
// progress have ended. It has a counter for each of 64 groups of keys, so that two
// processors rarely write to the same cache line.
type gate struct {
	closed atomic.Bool
	lanes  [64]struct {
		inside atomic.Int64
		_      [56]byte
	}
}

// enter reports whether the gate is open. If so, the caller must call leave.
func (g *gate) enter(key *Key) bool {
	lane := &g.lanes[key[17]%64].inside
	lane.Add(1)
	// Count before checking closed. close does it in the opposite order, so at least
	// one of the two notices the other.
	if g.closed.Load() {
		lane.Add(-1)
		return false
	}
	return true
}

func (g *gate) leave(key *Key) { g.lanes[key[17]%64].inside.Add(-1) }

// close closes the gate and waits until all callers have left.
func (g *gate) close(ctx context.Context) error {
	g.closed.Store(true)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for i := range g.lanes {
		for g.lanes[i].inside.Load() > 0 {
			select {
			case <-tick.C:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}
	return nil
}
