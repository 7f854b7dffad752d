package guard

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	failures = 5                      // of different keys in a row open a Breaker
	pause    = 500 * time.Millisecond // between trials, a quarter more or less
)

// A Key names what a call is about.
type Key = [32]byte

// A Breaker is a circuit breaker. It is closed at first and allows all calls.
// It opens when the calls of five different keys in a row have failed, and then
// refuses calls. After a pause it is half-open: it allows one call, the trial.
// It closes when a call succeeds, and stays open for another pause when the
// trial fails or takes as long as the pause.
//
// Counting different keys keeps a few bad ones, whose calls always fail, from
// opening it. Only calls that were made are recorded: a call that was not made
// says nothing about the other side.
type Breaker struct {
	slow  time.Duration
	start time.Time
	next  atomic.Int64 // when the next trial may begin, in nanoseconds since start; 0 while closed

	mu      sync.Mutex
	success time.Time // of the last call that succeeded
	failed  []failed  // since then, of different keys
	last    error
}

type failed struct {
	key  Key
	slow bool
}

// NewBreaker returns a closed Breaker. A failure counts only if it took at least
// slow: a caller whose call fails at once needs no protection. With 0 each one
// counts.
func NewBreaker(slow time.Duration) *Breaker { return &Breaker{slow: slow, start: time.Now()} }

// Ready reports whether Allow would allow a call of the key now.
func (b *Breaker) Ready(key Key) bool {
	next := b.next.Load()
	return next == 0 || b.due(key, next, time.Since(b.start))
}

// Allow reports whether a call of the key may be made. Then Record or Release
// must follow.
func (b *Breaker) Allow(key Key) bool {
	next := b.next.Load()
	if next == 0 {
		return true
	}
	now := time.Since(b.start)
	return b.due(key, next, now) && b.next.CompareAndSwap(next, int64(now+pause))
}

// due reports whether a trial of the key may begin. The keys that have failed
// leave the first chance to others.
func (b *Breaker) due(key Key, next int64, now time.Duration) bool {
	return int64(now) >= next && (now >= time.Duration(next)+pause || !b.hasFailed(key))
}

func (b *Breaker) hasFailed(key Key) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.find(key) >= 0
}

func (b *Breaker) find(key Key) int {
	return slices.IndexFunc(b.failed, func(f failed) bool { return f.key == key })
}

// Release gives back the trial of an allowed call that was not made.
func (b *Breaker) Release() {
	if next := b.next.Load(); next != 0 {
		b.next.CompareAndSwap(next, int64(time.Since(b.start)))
	}
}

// Record notes the outcome of an allowed call that was made at the given time.
func (b *Breaker) Record(key Key, began time.Time, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err == nil {
		b.success, b.failed = time.Now(), b.failed[:0]
		b.next.Store(0)
		return
	}
	if b.success.After(began) {
		return // another call, which began later, has succeeded
	}
	b.last = err
	b.fail(key, time.Since(began) >= b.slow)
	if len(b.failed) == failures && !slices.ContainsFunc(b.failed, func(f failed) bool { return !f.slow }) {
		jittered := pause*3/4 + Jitter(pause/2) // so that instances do not try in step
		b.next.Store(int64(time.Since(b.start) + jittered))
	}
}

// fail adds a failure. A slow one takes the place of one that was not.
func (b *Breaker) fail(key Key, slow bool) {
	if i := b.find(key); i >= 0 {
		b.failed[i].slow = b.failed[i].slow || slow
	} else if len(b.failed) < failures {
		b.failed = append(b.failed, failed{key, slow})
	} else if i := slices.IndexFunc(b.failed, func(f failed) bool { return !f.slow }); slow && i >= 0 {
		b.failed[i] = failed{key, true}
	}
}

// Err returns the error of a call that the open Breaker has refused.
func (b *Breaker) Err() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return fmt.Errorf("the circuit breaker is open after failures of %d keys in a row, the last one: %w", failures, b.last)
}
