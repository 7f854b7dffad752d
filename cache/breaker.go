package cache

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

const (
	manyFailures = 5 // in a row, and loads are held back
	firstTrial   = 50 * time.Millisecond
	longestPause = 500 * time.Millisecond // between trials, which doubles until then
)

// A breaker holds loads back while the store fails: a caller who could only
// wait for the LoadTimeout has his error at once, and a store that is slow or
// starting is not asked by everyone. One load at a time is let through to find
// out whether it is back.
type breaker struct {
	timeout, ttl time.Duration // of a load, and of a value

	// When the next load is let through, in nanoseconds since the cache's
	// start; 0 while all are.
	next atomic.Int64

	over atomic.Pointer[outage] // the last one that loads were held back in

	mu       sync.Mutex
	failures int // in a row
	first    time.Duration
	last     error
	lastKey  Key
}

// An outage is when loads failed, since the cache's start.
type outage struct{ began, ended time.Duration }

// lets reports whether a load may begin. While loads are held back it is true
// for one caller, who must record what became of his.
func (b *breaker) lets(now time.Duration) bool {
	next := b.next.Load()
	if next == 0 {
		return true
	}
	return int64(now) >= next && b.next.CompareAndSwap(next, int64(now+b.timeout+longestPause))
}

// again lets the next load through, after one that was let through found an
// answer in memory.
func (b *breaker) again(now time.Duration) {
	if next := b.next.Load(); next != 0 {
		b.next.CompareAndSwap(next, int64(now))
	}
}

// record takes note of how a load ended. It is late when it took its whole
// time.
func (b *breaker) record(key *Key, now time.Duration, late bool, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err == nil {
		b.succeed(now)
		return
	}
	if b.failures > 0 && b.failures < manyFailures && *key == b.lastKey && !late {
		return // one record that cannot be read is no outage
	}
	if b.failures == 0 {
		b.first = now
	}
	b.failures++
	b.last, b.lastKey = err, *key
	if b.failures >= manyFailures {
		pause := min(firstTrial<<min(b.failures-manyFailures, 8), longestPause)
		pause = pause*3/4 + rand.N(pause/2) // so that instances do not ask in step
		b.next.Store(int64(now + pause))
	}
}

func (b *breaker) succeed(now time.Duration) {
	if b.next.Load() != 0 {
		o := &outage{b.first, now}
		if before := b.over.Load(); before != nil && before.ended+b.ttl > o.began {
			o.began = before.began // it was not quite over
		}
		b.over.Store(o)
		b.next.Store(0)
	}
	b.failures = 0
}

// refusal is the error of a load that was held back.
func (b *breaker) refusal() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return fmt.Errorf("cache: held back after %d failures in a row, the last of them: %w", b.failures, b.last)
}
