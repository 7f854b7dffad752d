package cluster_test

import (
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/keyhatch/keyhatch/internal/testkit"
)

// Invariants 3, 5 and 9, R-15: while all parts fail in turn, no call returns a wrong result and
// no instance grows. KEYHATCH_SOAK can be the duration, such as 24h.
func TestNemesis(t *testing.T) {
	t.Parallel()
	for _, bus := range fully(redisBus, buses...) {
		for _, ttl := range []time.Duration{2 * time.Second, 8 * time.Second, 30 * time.Second}[:testkit.Scale(1, 3)] {
			t.Run(bus, func(t *testing.T) {
				t.Parallel()
				n := newNemesis(t, setup{Bus: bus, Shared: bus == redisBus, CacheTTL: ttl, StaleIfError: 2 * ttl, NegativeTTL: time.Second})
				long, _ := time.ParseDuration(os.Getenv("KEYHATCH_SOAK"))
				for began, small := time.Now(), n.sizes(); ; n.history = new(history) {
					n.run(testkit.Scale(1, 6))
					n.agree()
					n.judge()
					n.checkGrowth(small)
					if time.Since(began) >= long || t.Failed() {
						return
					}
				}
			})
		}
	}
}

// A nemesis injects faults into the servers and instances of a cluster in use.
type nemesis struct {
	*cluster
	*history
	lives  []*life
	random *rand.Rand
	seed   uint64
	end    chan struct{}
}

// A life holds the current process of an instance, which may be killed and restarted.
type life struct {
	mu    sync.Mutex
	i     *instance
	count int
}

func (l *life) now() (*instance, int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.i, l.count
}

func (l *life) begin(i *instance) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.i = i
	l.count++
}

func newNemesis(t *testing.T, s setup) *nemesis {
	n := &nemesis{cluster: newCluster(t, ownServers(t), 3, s), history: &history{}, seed: rand.Uint64()}
	if s := os.Getenv("KEYHATCH_SEED"); s != "" {
		var err error
		if n.seed, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("KEYHATCH_SEED=%d", n.seed)
	n.random = rand.New(rand.NewPCG(n.seed, 0))
	for _, m := range n.members {
		l := &life{}
		l.begin(m.instance)
		n.lives = append(n.lives, l)
	}
	return n
}

func (n *nemesis) over() bool {
	select {
	case <-n.end:
		return true
	default:
		return false
	}
}

// run injects all faults, in a random order each time.
func (n *nemesis) run(times int) {
	n.Helper()
	n.end = make(chan struct{})
	var clients sync.WaitGroup
	for i := range 9 {
		c := &client{n, i % 3, rand.New(rand.NewPCG(n.seed, uint64(i+1)))}
		clients.Go(c.run)
	}
	defer clients.Wait()
	defer close(n.end)
	for range times {
		harms := n.harms()
		n.random.Shuffle(len(harms), func(i, j int) { harms[i], harms[j] = harms[j], harms[i] })
		for _, h := range harms {
			// A pause between two faults, sometimes so long that the strict bound applies.
			time.Sleep(time.Duration(n.random.IntN(int(testkit.Scale(500*time.Millisecond, 6*time.Second)))))
			n.inflict(h)
		}
	}
	time.Sleep(testkit.Scale(500*time.Millisecond, 7*time.Second))
}

func (n *nemesis) inflict(h harm) {
	n.Helper()
	m := n.random.IntN(len(n.members))
	n.troubles = append(n.troubles, trouble{h.name, h.store, time.Now().UnixNano(), never})
	h.do(m)
	for _, m := range n.members {
		n.awaitBus(m)
	}
	n.troubles[len(n.troubles)-1].end = time.Now().UnixNano()
}

// agree fails the test unless all instances return the state of the store, soon after the
// last fault.
func (n *nemesis) agree() {
	n.Helper()
	all := tokens(n.keys)
	truth, err := start(setup{DSN: n.base.DSN, Bus: noBus}) // its cache is empty
	if err != nil {
		n.Fatal(err)
	}
	defer truth.kill()
	want := ask[[]string](n, truth, "answers", all)
	began := time.Now()
	for i, m := range n.members {
		for {
			k := differ(ask[[]string](n, m.instance, "answers", all), want)
			if k < 0 {
				break
			}
			if time.Since(began) > 2*soon {
				n.Fatalf("instance %d disagrees with the store about key %d, which is %s there", i, k, want[k])
			}
		}
	}
	n.Logf("nemesis | bus %s | all agree on %d keys %s after the last fault", n.base.Bus, len(all), short(time.Since(began)))
}

func (n *nemesis) sizes() (all []status) {
	for _, m := range n.members {
		all = append(all, ask[status](n, m.instance, "size", struct{}{}))
	}
	return all
}

// How much an instance may grow: connections are replaced after a fault, and the cache
// fills.
const (
	moreGoroutines = 10
	moreHeap       = 32 << 20
)

// checkGrowth fails the test unless the instances are about as small as before, soon after
// the last fault.
func (n *nemesis) checkGrowth(small []status) {
	n.Helper()
	var large []status
	testkit.Await(n, "all instances are about as small as at their start", func() bool {
		large = n.sizes()
		for i, s := range large {
			if s.Goroutines > small[i].Goroutines+moreGoroutines || s.Heap > small[i].Heap+moreHeap {
				return false
			}
		}
		return true
	})
	n.Logf("R-15 | bus %s | goroutines and bytes of the heap at the start %v, now %v", n.base.Bus, small, large)
}

func differ(got, want []string) int {
	for k := range got {
		if got[k] != want[k] {
			return k
		}
	}
	return -1
}

func (n *nemesis) judge() {
	n.Helper()
	j := &judge{n.base, n.history}
	wrong := j.mistakes()
	counts := map[string]int{}
	for _, e := range n.events {
		if e.verb == "validate" {
			counts[e.answer]++
		} else if e.made() {
			counts[e.verb]++
		}
	}
	n.Logf("nemesis | bus %s, shared cache %v | CacheTTL %v, seed %d | %d faults | %d keys, %d calls: %v | wrong results: %d",
		n.base.Bus, n.base.Shared, n.base.CacheTTL, n.seed, len(n.troubles), len(n.keys), len(n.events), counts, len(wrong))
	for i, w := range wrong {
		if i == 10 {
			break
		}
		n.Error(w)
	}
	if len(wrong) > 0 {
		for _, f := range n.troubles {
			n.Logf("%s from %s to %s", f.name, time.Unix(0, f.begin).Format("05.000"), time.Unix(0, f.end).Format("05.000"))
		}
	}
}
