package simulation_test

import (
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

// settings apply to all instances of a run.
type settings struct {
	instances                 int
	bus, keyed, shared, plans bool
	ttl, negative, stale      time.Duration
	limit                     int
	steps                     int
	pace                      time.Duration // maximum time between two calls
}

const (
	// A heartbeat follows a second after a message. The timeout of a call that began at the
	// same instant, or a quarter of it, must not end together with the heartbeat.
	callTimeout = time.Second + 4*time.Nanosecond
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
	if rng.IntN(2) == 0 { // so long that only the bus invalidates cached entries
		s.ttl, s.stale = time.Minute, min(s.stale, time.Minute)
	}
	return s
}

// A world holds the state of one run.
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
	instances []*instance // running instances
	tokens    []knownToken
	records   []observation
	changes   map[store.Digest][]change
	last      knownToken // the latest chosen one
	restarts  []time.Duration
	history   []event
	taken     map[time.Duration]bool    // instants that unique chose, as parts of a millisecond
	begun     map[time.Duration][]pause // pauses whose end is not chosen yet, by their beginning
}

// A change is a call that reached a key in the store, and the time.
type change struct {
	observation
	at time.Duration
}

// A knownToken is a token that a client has.
type knownToken struct {
	token, owner, id string
	digest           store.Digest
}

// An instance is one Manager with its connections.
type instance struct {
	n    int
	dead chan struct{} // closed when the process is killed, without Close
	keys *apikey.Manager

	mu      sync.Mutex
	answers [2][]time.Duration // times of successful look-ups in the store, and in the provider
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
	w := &world{settings: chooseSettings(rng), seed: seed, began: time.Now(), taken: map[time.Duration]bool{}, begun: map[time.Duration][]pause{}}
	w.faults = chooseFaults(w, rng)
	w.ledger, w.hub, w.shelf, w.plan = newLedger(), &hub{w: w}, newShelf(), newPlanBook()
	for n := range w.settings.instances {
		time.Sleep(w.unique(time.Duration(rng.Int64N(int64(time.Second))))) // so that heartbeats do not coincide
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

// now returns the time since the run began.
func (w *world) now() time.Duration { return time.Since(w.began) }

// chance returns a number that depends only on the seed and the names.
func (w *world) chance(names ...any) uint64 {
	h := fnv.New64a()
	fmt.Fprintln(h, append([]any{w.seed}, names...)...)
	return h.Sum64()
}
