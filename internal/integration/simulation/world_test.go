package simulation_test

import (
	"context"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/keyhatch/keyhatch/apikey"
	"github.com/keyhatch/keyhatch/entitlement"
	"github.com/keyhatch/keyhatch/store"
)

// settings are those of all instances of a run.
type settings struct {
	instances                 int
	bus, keyed, shared, plans bool
	ttl, negative, stale      time.Duration
	limit                     int
	steps                     int
	pace                      time.Duration // between two calls, at most
}

const (
	callTimeout = time.Second
	owners      = 3
)

func chooseSettings(rng *rand.Rand) settings {
	s := settings{
		instances: 2 + rng.IntN(2), bus: rng.IntN(4) > 0, keyed: rng.IntN(2) == 0, shared: rng.IntN(2) == 0, plans: rng.IntN(2) == 0,
		ttl: time.Duration(4+rng.IntN(12)) * time.Second, negative: time.Duration(1+rng.IntN(3)) * time.Second,
		limit: 3 + rng.IntN(4), steps: 250, pace: 600 * time.Millisecond,
	}
	if rng.IntN(2) == 0 {
		s.stale = s.ttl * time.Duration(1+rng.IntN(3))
	}
	if rng.IntN(2) == 0 { // so long that only the bus can end what is cached
		s.ttl, s.stale = time.Minute, min(s.stale, time.Minute)
	}
	return s
}

// A world is everything in one run.
type world struct {
	settings
	seed   uint64
	began  time.Time
	faults []fault
	ledger *ledger
	hub    *hub
	shelf  *shelf
	plan   *planBook

	mu        sync.Mutex
	instances []*instance // those that run
	tokens    []knownToken
	records   []observation
	changes   map[store.Digest][]change
	last      knownToken // that was chosen
	restarts  []time.Duration
}

// A change is a call that came to a key in the store at an instant.
type change struct {
	observation
	at time.Duration
}

// A knownToken is one that some client holds.
type knownToken struct {
	token, owner, id string
	digest           store.Digest
}

// An instance is one Manager and how it is connected.
type instance struct {
	n    int
	dead chan struct{} // closed when the process is gone, without a farewell
	keys *apikey.Manager

	mu      sync.Mutex
	answers [2][]time.Duration // when a look-up was answered, and when a question for a plan
}

func (i *instance) answered(source int, at time.Duration) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.answers[source] = append(i.answers[source], at)
}

func (i *instance) isDead() bool {
	select {
	case <-i.dead:
		return true
	default:
		return false
	}
}

func newWorld(t *testing.T, seed uint64, rng *rand.Rand) *world {
	w := &world{settings: chooseSettings(rng), seed: seed, began: time.Now()}
	w.faults = chooseFaults(w, rng)
	w.ledger, w.hub, w.shelf, w.plan = newLedger(), &hub{w: w}, newShelf(), newPlanBook()
	for n := range w.settings.instances {
		time.Sleep(time.Duration(rng.Int64N(int64(time.Second)))) // so that heartbeats do not meet
		w.instances = append(w.instances, w.start(t, n))
	}
	return w
}

func (w *world) start(t *testing.T, n int) *instance {
	i := &instance{n: n, dead: make(chan struct{})}
	opts := &apikey.Options{
		Prefix: "sim", MaxKeysPerOwner: w.limit, CacheTTL: w.ttl, NegativeTTL: w.negative, StaleIfError: w.stale,
		CacheSize: 200, CallTimeout: callTimeout, Logger: quiet,
	}
	if w.bus {
		opts.Bus = &port{w: w, i: i}
		if w.keyed {
			opts.Bus = &keyedPort{port{w: w, i: i}}
		}
	}
	if w.shared {
		opts.SharedCache = &sharedView{w: w, i: i}
	}
	if w.plans {
		opts.Entitlements = entitlement.ProviderFunc((&planView{w: w, i: i}).entitlement)
	}
	keys, err := apikey.New(&storeView{Store: w.ledger.kept, w: w, i: i}, opts)
	if err != nil {
		t.Fatal(err)
	}
	i.keys = keys
	return i
}

// now is the time since the run began.
func (w *world) now() time.Duration { return time.Since(w.began) }

// chance is a number that the seed and the names decide, whatever else happens.
func (w *world) chance(names ...any) uint64 {
	h := fnv.New64a()
	fmt.Fprintln(h, append([]any{w.seed}, names...)...)
	return h.Sum64()
}

// pause waits as long as the names decide: mostly up to d, now and then much
// longer, so that calls overtake each other.
func (w *world) pause(ctx context.Context, d time.Duration, names ...any) error {
	dice := w.chance(names...)
	if dice%8 == 0 {
		d = min(d*15, callTimeout*3/4)
	}
	select {
	case <-time.After(time.Duration(dice / 8 % uint64(d))):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
