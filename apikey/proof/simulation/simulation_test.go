package simulation_test

import (
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"testing/synctest"
)

// whatever happens in whatever order, no instance returns what was not
// true. KEYHATCH_SEED runs one seed, KEYHATCH_SOAK 10,000.
func TestSimulation(t *testing.T) {
	first, n := uint64(1), uint64(300)
	if os.Getenv("KEYHATCH_SOAK") != "" {
		n = 10_000
	}
	if text := os.Getenv("KEYHATCH_SEED"); text != "" {
		seed, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		first, n = seed, 1
	}
	counts := map[string]int{}
	for seed := first; seed < first+n; seed++ {
		w, all, faults := simulate(t, seed)
		for _, o := range all {
			counts[o.what+": "+o.outcome]++
		}
		if len(faults) > 0 {
			t.Fatal(w.report(all, faults))
		}
	}
	if n > 1 {
		t.Logf("%d seeds: %v", n, counts)
	}
}

// simulate makes the run of a seed.
func simulate(t *testing.T, seed uint64) (w *world, all []observation, faults []string) {
	seedRandom(t, seed)
	synctest.Test(t, func(t *testing.T) {
		rng := rand.New(rand.NewPCG(seed, 0))
		w = newWorld(t, seed, rng)
		all = w.run(t, rng)
		synctest.Wait()
		faults = w.wrong(all)
	})
	return w, all, faults
}

// a seed makes the same run again, to the nanosecond.
func TestReplay(t *testing.T) {
	if !seedsRandom {
		t.Skip("before Go 1.26 crypto/rand cannot be seeded")
	}
	seeds := uint64(10)
	if os.Getenv("KEYHATCH_SOAK") != "" {
		seeds = 300
	}
	for seed := range seeds {
		_, first, _ := simulate(t, seed+1)
		_, again, _ := simulate(t, seed+1)
		for i, o := range first {
			if i >= len(again) || o.String() != again[i].String() {
				t.Fatalf("seed %d: the second run differs:\n%v\n%v", seed+1, o, again[min(i, len(again)-1)])
			}
		}
	}
}
