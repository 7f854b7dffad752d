// Package cachetest checks a [cache.Bus] and a [cache.Level] against everything
// that the interfaces promise. Whoever writes one runs its suite in a test:
//
//	func TestBus(t *testing.T) {
//		cachetest.RunBus(t, func(t *testing.T) cache.Bus { return mybus.New(…) })
//	}
//
// A failure names the rule that was broken. What only an implementation's own
// tests can find out is not here: what happens when the server is gone, answers
// no more, or holds what somebody else has written.
package cachetest

import (
	"sync"
	"testing"
	"time"
)

// patience is how long a suite waits for what must happen, soon how long for
// what must happen at once. Both are far above what a busy machine needs.
const (
	patience = 10 * time.Second
	soon     = 2 * time.Second
)

// await fails unless the channel yields or is closed in time.
func await[T any](t *testing.T, c <-chan T, limit time.Duration, rule string) (value T) {
	t.Helper()
	select {
	case value = <-c:
	case <-time.After(limit):
		t.Fatalf("%s: nothing has happened for %v", rule, limit)
	}
	return value
}

// together runs n calls at once and reports their errors.
func together(t *testing.T, n int, call func(i int) error, rule string) {
	t.Helper()
	errs := make([]error, n)
	var wg sync.WaitGroup
	start := make(chan struct{})
	for i := range n {
		wg.Go(func() {
			<-start
			errs[i] = call(i)
		})
	}
	close(start)
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			t.Fatalf("%s: %v", rule, err)
		}
	}
}
