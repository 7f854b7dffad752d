package guard

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	failures = 5                      // failures of different keys in a row that open a Breaker
	pause    = 500 * time.Millisecond // pause between trials, ±25%
)

// A Key identifies the key that a call is about.
type Key = [32]byte

// A Breaker is a circuit breaker. It starts closed and allows all calls. It opens
// when calls of five different keys in a row have failed, and then refuses calls.
// After a pause of 375 to 625 ms it is half-open: it allows one call, the trial. If
// a call succeeds, the Breaker closes. If the trial fails, or takes as long as the
// pause, the Breaker stays open for another pause.
//
// It counts different keys so that a few keys whose calls always fail cannot open
// it. Only calls that ran are recorded: a refused call says nothing about the other
// side.
//
// All methods may be called from many goroutines.
type Breaker struct {
	slow  time.Duration
	start time.Time
	next  atomic.Int64 // when the next trial may begin, in nanoseconds since start; 0 while closed

	mu      sync.Mutex
	success time.Time // time of the last successful call
	failed  []failed  // failures since then, of different keys
	last    error
}

type failed struct {
	key  Key
	slow bool
}

// NewBreaker returns a closed Breaker. A failure counts only if it took at least
// slow, since a caller needs no protection from calls that fail at once. If slow is
// 0, every failure counts.
func NewBreaker(slow time.Duration) *Breaker { return &Breaker{slow: slow, start: time.Now()} }

// Closed reports whether all calls are allowed.
func (b *Breaker) Closed() bool { return b.next.Load() == 0 }

// Ready reports whether Allow would allow a call of the key now.
func (b *Breaker) Ready(key Key) bool {
	next := b.next.Load()
	return next == 0 || b.due(key, next, time.Since(b.start))
}

// Allow reports whether a call of the key may be made, and whether it is the trial. The
// caller must call Record after the call. If it does not make the trial, it must call
// Release instead.
func (b *Breaker) Allow(key Key) (allowed, trial bool) {
	next := b.next.Load()
	if next == 0 {
		return true, false
	}
	now := time.Since(b.start)
	trial = b.due(key, next, now) && b.next.CompareAndSwap(next, int64(now+pause))
	return trial, trial
}

// due reports whether a trial of the key may begin. For one pause after the time next, keys that
// have failed leave the trial to other keys.
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

// Release gives the trial to the next caller, because the trial was not made.
func (b *Breaker) Release() {
	if next := b.next.Load(); next != 0 {
		b.next.CompareAndSwap(next, int64(time.Since(b.start)))
	}
}

// Record records the outcome of an allowed call that began at the given time.
func (b *Breaker) Record(key Key, began time.Time, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err == nil {
		b.success, b.failed = time.Now(), b.failed[:0]
		b.next.Store(0)
		return
	}
	if b.success.After(began) {
		return // a call has succeeded since this one began
	}
	b.last = err
	b.fail(key, time.Since(began) >= b.slow)
	if len(b.failed) == failures && !slices.ContainsFunc(b.failed, func(f failed) bool { return !f.slow }) {
		jittered := pause*3/4 + Jitter(pause/2) // so that instances do not try at the same time
		b.next.Store(int64(time.Since(b.start) + jittered))
	}
}

// fail adds a failure. If the list is full, a slow failure replaces a fast one.
func (b *Breaker) fail(key Key, slow bool) {
	if i := b.find(key); i >= 0 {
		b.failed[i].slow = b.failed[i].slow || slow
	} else if len(b.failed) < failures {
		b.failed = append(b.failed, failed{key, slow})
	} else if i := slices.IndexFunc(b.failed, func(f failed) bool { return !f.slow }); slow && i >= 0 {
		b.failed[i] = failed{key, true}
	}
}

// Err returns the error for a call that the open Breaker refused. It wraps the last
// failure.
func (b *Breaker) Err() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return fmt.Errorf("the circuit breaker is open after failures of %d keys in a row, the last error: %w", failures, b.last)
}
