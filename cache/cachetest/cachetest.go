// Package cachetest tests implementations of [cache.Bus] and [cache.Shared] against
// every rule of these interfaces. An implementation runs its suite in a test:
//
//	func TestBus(t *testing.T) {
//		cachetest.RunBus(t, func(t *testing.T) cache.Bus { return mybus.New(…) })
//	}
//
// Each failure message states the rule that was broken. The suites do not test
// outages and corrupted data: a server that is gone or does not reply, and data
// that another program has written. Each implementation needs its own tests for
// these.
package cachetest

import (
	"sync"
	"testing"
	"time"
)

// patience is how long a suite waits for something that must happen, and soon for
// something that must happen at once. Both are far above what a busy machine needs.
const (
	patience = 10 * time.Second
	soon     = 2 * time.Second
)

// await fails unless the channel yields a value or is closed within the limit.
func await[T any](t *testing.T, c <-chan T, limit time.Duration, rule string) (value T) {
	t.Helper()
	select {
	case value = <-c:
	case <-time.After(limit):
		t.Fatalf("%s: not within %v", rule, limit)
	}
	return value
}

// together runs n calls concurrently and fails with their first error.
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
