package limit

import (
	"context"
	"fmt"
	"hash/maphash"
	"slices"
	"sync"
	"time"
)

// LocalOptions configure a [Local]. The zero value of each field is its default.
type LocalOptions struct {
	// MaxOwners is the maximum number of owners whose units are counted at once, rounded up to a
	// multiple of 64. Take returns [ErrFull] for further owners. An owner makes room when its
	// longest window, and a sixtieth of it, have passed since its last Take. Owners are divided
	// into 64 parts by a hash, so a part may be full before MaxOwners is reached. An owner takes
	// about 100 bytes, and 300 for each of its rules. Default 1,000,000.
	MaxOwners int
}

// A Local is a [Limiter] that counts the units within this process. Each instance of a service
// counts for itself, and a restart forgets the units. Its methods do not use their context, since
// they do not wait for another process.
type Local struct {
	start  time.Time // monotonic times count from here
	seed   maphash.Seed
	shards [shards]shard
}

const shards = 64

// A shard holds the owners with the same hash.
type shard struct {
	mu     sync.RWMutex
	owners map[string]*account
	limit  int           // maximum number of owners
	swept  time.Duration // when sweep last looked for empty accounts
	_      [64]byte      // keeps the locks of two shards out of one cache line
}

// An account holds the counters of an owner.
type account struct {
	mu       sync.Mutex
	counters []counter
	emptyAt  time.Duration // when all counters are empty, if nothing else is taken
	removed  bool          // it is no longer in the shard
}

var _ Limiter = (*Local)(nil)

// NewLocal returns a Local. It returns an [*InvalidError] if an option is outside its bounds.
func NewLocal(opts *LocalOptions) (*Local, error) {
	if opts == nil {
		opts = &LocalOptions{}
	}
	most := opts.MaxOwners
	if most < 0 {
		return nil, &InvalidError{Field: "MaxOwners", Reason: fmt.Sprintf("must not be negative, got %d", most)}
	}
	if most == 0 {
		most = 1_000_000
	}
	l := &Local{start: time.Now(), seed: maphash.MakeSeed()}
	for i := range l.shards {
		l.shards[i].owners, l.shards[i].limit = map[string]*account{}, (most+shards-1)/shards
	}
	return l, nil
}

// Take implements [Limiter]. It allocates only for a new owner or a new rule.
func (l *Local) Take(_ context.Context, owner string, rules []Rule, cost int64) (Decision, error) {
	if cost < 0 {
		return Decision{}, &InvalidError{Field: "cost", Reason: fmt.Sprintf("must not be negative, got %d", cost)}
	}
	now := time.Since(l.start)
	d := Decision{Allowed: true, Rule: -1, Receipt: Receipt{at: now, cost: cost}}
	if len(rules) == 0 {
		return d, nil
	}
	a, err := l.lock(owner, now)
	if err != nil {
		return Decision{}, err
	}
	defer a.mu.Unlock()
	for i := range rules {
		a.counter(i, &rules[i], now).decide(&d, i, &rules[i], cost, now)
	}
	if d.Allowed && cost > 0 {
		a.add(rules, cost, now, now)
		d.Remaining -= cost
	}
	return d, nil
}

// Settle implements [Limiter].
func (l *Local) Settle(_ context.Context, owner string, rules []Rule, receipt Receipt, used int64) error {
	if used < 0 {
		return &InvalidError{Field: "used", Reason: fmt.Sprintf("must not be negative, got %d", used)}
	}
	if used == receipt.cost || len(rules) == 0 {
		return nil
	}
	now := time.Since(l.start)
	a, err := l.lock(owner, now)
	if err != nil {
		return err
	}
	defer a.mu.Unlock()
	for i := range rules {
		a.counter(i, &rules[i], now)
	}
	at := receipt.at
	if used > receipt.cost {
		at = now // the difference is taken only now
	}
	a.add(rules, used-receipt.cost, at, now)
	return nil
}

// Peek implements [Limiter].
func (l *Local) Peek(_ context.Context, owner string, rules []Rule, remaining []int64) ([]int64, error) {
	now := time.Since(l.start)
	s := l.shardOf(owner)
	s.mu.RLock()
	a := s.owners[owner]
	s.mu.RUnlock()
	if a == nil {
		a = &account{} // not kept, since it counts nothing
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for i := range rules {
		remaining = append(remaining, max(rules[i].Units-a.counter(i, &rules[i], now).sum, 0))
	}
	return remaining, nil
}

func (l *Local) shardOf(owner string) *shard { return &l.shards[maphash.String(l.seed, owner)%shards] }

// lock returns the owner's account, locked. The account may be removed between the look-up and the
// lock. Then lock tries again.
func (l *Local) lock(owner string, now time.Duration) (*account, error) {
	s := l.shardOf(owner)
	for {
		s.mu.RLock()
		a := s.owners[owner]
		s.mu.RUnlock()
		if a == nil {
			var err error
			if a, err = s.add(owner, now); err != nil {
				return nil, err
			}
		}
		if a.mu.Lock(); !a.removed {
			return a, nil
		}
		a.mu.Unlock()
	}
}

// add adds an account for an owner that had none. It sweeps the shard if it is full, and otherwise
// once in a [MaxWindow].
func (s *shard) add(owner string, now time.Duration) (*account, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if a := s.owners[owner]; a != nil {
		return a, nil
	}
	if len(s.owners) >= s.limit || now-s.swept > MaxWindow {
		s.sweep(now)
	}
	if len(s.owners) >= s.limit {
		return nil, ErrFull
	}
	a := &account{}
	s.owners[owner] = a
	return a, nil
}

// sweep removes the accounts whose counters are empty, at most once in a second.
func (s *shard) sweep(now time.Duration) {
	if now-s.swept < time.Second && s.swept != 0 {
		return
	}
	s.swept = now
	for owner, a := range s.owners {
		a.mu.Lock()
		if a.removed = a.emptyAt <= now; a.removed {
			delete(s.owners, owner)
		}
		a.mu.Unlock()
	}
}

// counter returns the counter of the rule with index i, advanced to now. It moves the counter to
// index i, where the next call finds it without a search.
func (a *account) counter(i int, r *Rule, now time.Duration) *counter {
	if i >= len(a.counters) || a.counters[i].name != r.Name {
		found := slices.IndexFunc(a.counters, func(c counter) bool { return c.name == r.Name })
		if found < 0 {
			found = len(a.counters)
			a.counters = append(a.counters, counter{name: r.Name})
		}
		a.counters[i], a.counters[found] = a.counters[found], a.counters[i]
	}
	c := &a.counters[i]
	c.advance(r.Window, now)
	return c
}

// add adds units, which were taken at the time at, to the counters of the rules. The caller must
// have advanced these counters to now, by calling counter for each rule.
func (a *account) add(rules []Rule, units int64, at, now time.Duration) {
	for i := range rules {
		c := &a.counters[i]
		bucket := c.latest
		if at != now {
			bucket = int64(at / c.width)
		}
		c.add(units, bucket)
		a.emptyAt = max(a.emptyAt, now+(buckets+1)*c.width)
	}
}
