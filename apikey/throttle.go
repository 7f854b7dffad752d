package apikey

import (
	"sync"
	"time"
)

// How many writes of a kind each owner may make in any throttleTime.
const (
	maxCreations   = 10 // creations, registrations and rotations together
	maxUpdates     = 60
	maxRevocations = 120
	throttleTime   = time.Minute
)

// Throttle counts a write of the owner. kind is the kind of the event that the write emits.
// Throttle returns 0 if the write may be made, and otherwise how long the owner must wait. In any
// minute an owner may make 60 updates, 120 revocations, and 10 creations, registrations and
// rotations together. Other kinds are not counted.
//
// Package selfservice calls Throttle before each write, even if the write then fails.
// That package counts writes that are authorized by an API key separately from those
// that the owner makes on the page. Call Throttle in a management API of your own,
// too.
//
// Each Manager counts in memory, so a service of N instances admits up to N times as
// many writes. Throttle may be called from many goroutines.
func (m *Manager) Throttle(owner string, kind EventKind) time.Duration {
	if q := m.writeLimits[kind]; q != nil {
		return q.take(owner, time.Now())
	}
	return 0
}

// newWriteLimits gives revocations a limit of their own, so that an owner can revoke a
// key after using up the other limits.
func newWriteLimits() map[EventKind]*writeLimit {
	creations := newWriteLimit(maxCreations)
	return map[EventKind]*writeLimit{
		EventCreated: creations, EventRegistered: creations, EventRotated: creations,
		EventUpdated: newWriteLimit(maxUpdates), EventRevoked: newWriteLimit(maxRevocations),
	}
}

// A writeLimit bounds the calls of each owner. It holds the owners who called in the
// last throttleTime. The map needs no bound, since owners come from the host.
type writeLimit struct {
	limit  int
	mu     sync.Mutex
	owners map[string]*recentCalls
	swept  time.Time
}

// recentCalls holds the times of the latest calls in a ring. The oldest one is at the index next.
type recentCalls struct {
	at   []time.Time
	next int
}

func newWriteLimit(limit int) *writeLimit {
	return &writeLimit{limit: limit, owners: map[string]*recentCalls{}}
}

// take counts a call and returns 0, or returns how long the owner has to wait.
func (q *writeLimit) take(owner string, now time.Time) time.Duration {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.sweep(now)
	c := q.owners[owner]
	if c == nil {
		c = &recentCalls{at: make([]time.Time, q.limit)}
		q.owners[owner] = c
	}
	if wait := c.at[c.next].Add(throttleTime).Sub(now); wait > 0 {
		return wait
	}
	c.at[c.next] = now
	c.next = (c.next + 1) % q.limit
	return 0
}

// sweep removes owners without recent calls, at most once per throttleTime.
func (q *writeLimit) sweep(now time.Time) {
	if now.Sub(q.swept) < throttleTime {
		return
	}
	q.swept = now
	for owner, c := range q.owners {
		if last := c.at[(c.next+q.limit-1)%q.limit]; now.Sub(last) >= throttleTime {
			delete(q.owners, owner)
		}
	}
}
