package apikey

import (
	"sync"
	"time"
)

const (
	// budgetSample is how many look-ups a budget judges by.
	budgetSample = 64

	// rareHit is how many look-ups there are to a hit, from which on they do not
	// pay: a look-up and an entry cost about half as much as the store does.
	rareHit = 16

	// rareLookups is how many look-ups there are in a second while they do not pay.
	// They fill the level for others, and notice when it pays again.
	rareLookups = 250
)

// A levelBudget bounds the look-ups in the level while hardly any finds an entry,
// as when all instances start. Then they would make each validation slower than
// the store alone does. A look-up that fails counts as one that finds nothing.
type levelBudget struct {
	mu          sync.Mutex
	asked, hits int
	second      time.Duration
	spent       int // in that second
}

// allow reports whether a look-up may be made, at a time since some start.
func (b *levelBudget) allow(at time.Duration) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.asked < budgetSample || b.hits*rareHit >= b.asked {
		return true
	}
	if second := at.Truncate(time.Second); second != b.second {
		b.second, b.spent = second, 0
	}
	b.spent++
	return b.spent <= rareLookups
}

func (b *levelBudget) record(hit bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.asked++
	if hit {
		b.hits++
	}
	if b.asked == 2*budgetSample { // what is long ago counts less and less
		b.asked, b.hits = b.asked/2, b.hits/2
	}
}
