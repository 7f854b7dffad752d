package cache

import (
	"context"
	"sync/atomic"
	"time"
)

// A gate keeps ristretto's Close, which panics beside any other call, until
// the calls under way have ended. It counts in lanes, by key, so that two
// processors seldom write to the same line of memory.
type gate struct {
	closed atomic.Bool
	lanes  [64]struct {
		inside atomic.Int64
		_      [56]byte
	}
}

// enter reports whether the gate is open; then leave must follow.
func (g *gate) enter(key *Key) bool {
	lane := &g.lanes[key[17]%64].inside
	lane.Add(1)
	// Counted first, looked second: close does it the other way round, so
	// that one of the two sees the other.
	if g.closed.Load() {
		lane.Add(-1)
		return false
	}
	return true
}

func (g *gate) leave(key *Key) { g.lanes[key[17]%64].inside.Add(-1) }

// close shuts the gate and waits until all have left.
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
