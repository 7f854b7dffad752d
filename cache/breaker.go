package cache

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	manyKeys     = 5                      // whose loads fail, with none between that succeeds
	trialPause   = 500 * time.Millisecond // between trials, a quarter more or less
	shortFailure = time.Second            // that is no outage
)

// A breaker holds loads back while the store is slow to fail, as one that hangs
// is: a caller who could only wait for the LoadTimeout has his error at once, and
// callers do not pile up. One load now and then is let through to find out
// whether the store is back. One that fails at once need not be held back.
//
// It goes by different keys, so that a few that can never be loaded do not keep
// everybody from the others.
type breaker struct {
	timeout, ttl time.Duration // of a load, and of a value

	// When the next load is let through, in nanoseconds since the cache's
	// start; 0 while all are.
	next atomic.Int64
	over atomic.Pointer[outage] // the last one

	mu      sync.Mutex
	success time.Time // the last one
	failed  []failure // since then, of different keys, manyKeys at most; slow ones take the place of others
	last    error
}

// A failure is that of a key's load.
type failure struct {
	key  Key
	at   time.Time
	slow bool
}

// An outage is when loads failed. Merged is one that began before the values
// that had ended in another one were all loaded again.
type outage struct {
	began, ended time.Time
	merged       bool
}

// lets reports whether a load may begin. While loads are held back it is true
// for one caller now and then.
func (b *breaker) lets(key *Key, now time.Duration) bool {
	next := b.next.Load()
	if next == 0 {
		return true
	}
	if int64(now) < next || now < time.Duration(next)+trialPause && b.knows(key) {
		return false // those that failed leave the others the first chance
	}
	return b.next.CompareAndSwap(next, int64(now+trialPause))
}

// knows reports whether the key is among those that failed.
func (b *breaker) knows(key *Key) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.find(key) >= 0
}

func (b *breaker) find(key *Key) int {
	return slices.IndexFunc(b.failed, func(f failure) bool { return f.key == *key })
}

// again lets the next load through, after one that was let through found an
// answer in memory.
func (b *breaker) again(now time.Duration) {
	if next := b.next.Load(); next != 0 {
		b.next.CompareAndSwap(next, int64(now))
	}
}

// record takes note of how a load ended that began at the given time. Now is the
// time since the cache's start.
func (b *breaker) record(key *Key, began time.Time, now time.Duration, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err == nil {
		b.succeed()
		return
	}
	if b.success.After(began) {
		return // others were answered meanwhile
	}
	slow := time.Since(began) >= b.timeout/4
	b.last = err
	if i := b.find(key); i >= 0 {
		b.failed[i].slow = b.failed[i].slow || slow
	} else if len(b.failed) < manyKeys {
		b.failed = append(b.failed, failure{*key, time.Now(), slow})
	} else if i := slices.IndexFunc(b.failed, func(f failure) bool { return !f.slow }); slow && i >= 0 {
		b.failed[i].key, b.failed[i].slow = *key, true // one that hangs says more
	}
	if len(b.failed) == manyKeys && !slices.ContainsFunc(b.failed, func(f failure) bool { return !f.slow }) {
		pause := trialPause*3/4 + rand.N(trialPause/2) // so that instances do not ask in step
		b.next.Store(int64(now + pause))
	}
}

func (b *breaker) succeed() {
	if len(b.failed) == manyKeys && time.Since(b.failed[0].at) >= shortFailure {
		o, before := &outage{began: b.failed[0].at, ended: time.Now()}, b.over.Load()
		// Two, not more, or a store that fails now and then would keep a value
		// for ever.
		if before != nil && !before.merged && o.began.Sub(before.ended) < b.ttl {
			o.began, o.merged = before.began, true
		}
		b.over.Store(o)
	}
	b.success, b.failed = time.Now(), b.failed[:0]
	b.next.Store(0)
}

// refusal is the error of a load that was held back.
func (b *breaker) refusal() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return fmt.Errorf("cache: held back, since the loads of %d keys in a row were slow to fail, the last with: %w", manyKeys, b.last)
}
