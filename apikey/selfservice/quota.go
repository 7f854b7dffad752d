package selfservice

import (
	"fmt"
	"math"
	"sync"
	"time"
)

// How many calls of each kind an owner can make in that time, by one instance.
// Calls that fail count too, since they cost the store as much. Revocations have a
// quota of their own, so that one is possible when all others are used up.
const (
	maxCreations   = 10 // and rotations
	maxUpdates     = 60
	maxRevocations = 120
	perTime        = time.Minute
)

// A quota counts calls. It remembers the owners of the last minute, all of
// whom the host knows.
type quota struct {
	most   int
	mu     sync.Mutex
	owners map[string]*recentCalls
	swept  time.Time
}

// recentCalls are when the latest ones were, in a ring of which next is the oldest.
type recentCalls struct {
	at   []time.Time
	next int
}

func newQuota(most int) *quota { return &quota{most: most, owners: map[string]*recentCalls{}} }

// take counts a call, or returns a problem that says how long it has to wait.
func (q *quota) take(owner string, now time.Time) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.sweep(now)
	c := q.owners[owner]
	if c == nil {
		c = &recentCalls{at: make([]time.Time, q.most)}
		q.owners[owner] = c
	}
	if wait := c.at[c.next].Add(perTime).Sub(now); wait > 0 {
		return &problem{status: 429, code: "too_many_requests",
			detail: fmt.Sprintf("At most %d such requests a minute.", q.most), wait: int(math.Ceil(wait.Seconds()))}
	}
	c.at[c.next] = now
	c.next = (c.next + 1) % q.most
	return nil
}

// sweep forgets, once in a while, owners without calls since.
func (q *quota) sweep(now time.Time) {
	if now.Sub(q.swept) < perTime {
		return
	}
	q.swept = now
	for owner, c := range q.owners {
		if last := c.at[(c.next+q.most-1)%q.most]; now.Sub(last) >= perTime {
			delete(q.owners, owner)
		}
	}
}
