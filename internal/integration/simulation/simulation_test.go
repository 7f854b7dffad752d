package simulation_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"testing"
	"testing/synctest"

	"github.com/keyhatch/keyhatch/internal/testkit"
)

// with all faults and in all orders, no instance returns a wrong result. KEYHATCH_SEED
// selects one seed, or several such as 100-200. KEYHATCH_SOAK runs 10,000.
func TestSimulation(t *testing.T) {
	first, n := uint64(1), uint64(300)
	switch {
	case os.Getenv("KEYHATCH_SOAK") != "":
		n = 10_000
	case testkit.Race:
		n = 30 // other modes take ten times as long
	}
	if text := os.Getenv("KEYHATCH_SEED"); text != "" {
		last := uint64(0)
		switch parsed, _ := fmt.Sscanf(text, "%d-%d", &first, &last); {
		case parsed == 0, parsed == 2 && last < first:
			t.Fatalf("KEYHATCH_SEED is %q, want a seed, or several such as 100-200", text)
		case parsed == 1:
			last = first
		}
		n = last - first + 1
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

// simulate runs a seed.
func simulate(t *testing.T, seed uint64) (w *world, all []observation, faults []string) {
	seedRandom(t, seed)
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1)) // so that the scheduler has fewer choices
	synctest.Test(t, func(t *testing.T) {
		rng := rand.New(rand.NewPCG(seed, 0))
		w = newWorld(t, seed, rng)
		all = w.run(t, rng)
		synctest.Wait()
		faults = w.wrong(all)
	})
	return w, all, faults
}

// a seed repeats its run: the same calls at the same nanosecond, with the same results.
//
// One thing is not determined: the order of two goroutines that wake at the same time, since
// they waited for the same load or for timers that fire together (synctest shuffles those). If
// both then take a turn, or a token, the runs diverge, in one of 150 runs as measured. So the
// test fails only if three runs differ from the first.
func TestReplay(t *testing.T) {
	seeds := uint64(5)
	if os.Getenv("KEYHATCH_SOAK") != "" {
		seeds = 100
	}
	for seed := uint64(1); seed <= seeds; seed++ {
		_, first, _ := simulate(t, seed)
		difference := ""
		for range 3 {
			_, again, _ := simulate(t, seed)
			if difference = differ(first, again); difference == "" {
				break
			}
		}
		if difference != "" {
			t.Errorf("seed %d: another run differs:\n%s", seed, difference)
		}
	}
}

// differ returns the first calls in which two runs differ.
func differ(first, again []observation) string {
	for i := range max(len(first), len(again)) {
		if i >= len(first) || i >= len(again) {
			return fmt.Sprintf("%d calls and %d", len(first), len(again))
		}
		if a, b := first[i].input(), again[i].input(); a != b {
			return a + "\n" + b
		}
	}
	return ""
}
