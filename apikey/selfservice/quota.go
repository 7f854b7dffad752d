package selfservice

import (
	"math"
	"sync"
	"time"
)

// An owner can create or rotate this many keys in that time, by one instance.
const (
	maxCreations = 10
	perTime      = time.Minute
)

// A quota counts creations. It remembers the owners of the last minute, all of
// whom the host knows.
type quota struct {
	mu     sync.Mutex
	owners map[string]*creations
	swept  time.Time
}

// creations are when the last ones were, in a ring of which next is the oldest.
type creations struct {
	at   [maxCreations]time.Time
	next int
}

func newQuota() *quota { return &quota{owners: map[string]*creations{}} }

// take counts a key that is made, or tells how long it has to wait.
func (q *quota) take(owner string, now time.Time) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.sweep(now)
	c := q.owners[owner]
	if c == nil {
		c = &creations{}
		q.owners[owner] = c
	}
	if wait := c.at[c.next].Add(perTime).Sub(now); wait > 0 {
		return &problem{status: 429, code: "too_many_requests",
			detail: "Ten keys can be made a minute.", wait: int(math.Ceil(wait.Seconds()))}
	}
	c.at[c.next] = now
	c.next = (c.next + 1) % maxCreations
	return nil
}

// giveBack is for one that was counted, and not made.
func (q *quota) giveBack(owner string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if c := q.owners[owner]; c != nil {
		c.next = (c.next + maxCreations - 1) % maxCreations
		c.at[c.next] = time.Time{}
	}
}

// sweep forgets, once in a while, those who have created nothing since.
func (q *quota) sweep(now time.Time) {
	if now.Sub(q.swept) < perTime {
		return
	}
	q.swept = now
	for owner, c := range q.owners {
		if last := c.at[(c.next+maxCreations-1)%maxCreations]; now.Sub(last) >= perTime {
			delete(q.owners, owner)
		}
	}
}
