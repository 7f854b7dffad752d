package rediscache

import (
	"errors"
	"sync"
	"time"
)

const (
	tripAfter = 5           // failures in a row
	pause     = time.Second // between trials
)

var errTripped = errors.New("the server failed just now and is not asked again yet")

// A breaker keeps calls from a server that has failed several times in a row,
// but for one now and then, so that an outage costs each caller nothing.
type breaker struct {
	mu       sync.Mutex
	failures int
	next     time.Time // when the next trial may begin
}

func (b *breaker) allow(now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.failures < tripAfter {
		return true
	}
	if now.Before(b.next) {
		return false
	}
	b.next = now.Add(pause)
	return true
}

func (b *breaker) note(ok bool, now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if ok {
		b.failures = 0
		return
	}
	b.failures++
	if b.failures == tripAfter {
		b.next = now.Add(pause)
	}
}
