package simulation_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/keyhatch/keyhatch/internal/testkit"
)

// with all faults and in all orders, no instance returns a wrong result. KEYHATCH_SEED
// selects one seed, or several such as 100-200. KEYHATCH_SOAK runs 10,000.
func TestSimulation(t *testing.T) {
	n := uint64(300)
	switch {
	case testkit.Soak():
		n = 10_000
	case testkit.Race:
		n = 30 // other modes take ten times as long
	}
	first, n := chooseSeeds(t, n)
	counts := map[string]int{}
	for seed := first; seed < first+n; seed++ {
		w, all, faults := simulate(t, seed, 1)
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

// chooseSeeds returns the seeds that KEYHATCH_SEED selects, or else n from 1 on.
func chooseSeeds(t *testing.T, n uint64) (first, count uint64) {
	text, first, last := os.Getenv("KEYHATCH_SEED"), uint64(1), uint64(0)
	if text == "" {
		return first, n
	}
	parsed, _ := fmt.Sscanf(text, "%d-%d", &first, &last)
	if parsed == 1 {
		last = first
	}
	if parsed == 0 || last < first {
		t.Fatalf("KEYHATCH_SEED: got %q, want a seed, or several such as 100-200", text)
	}
	return first, last - first + 1
}

// simulate runs a seed on the given number of processors.
func simulate(t *testing.T, seed uint64, processors int) (w *world, all []observation, faults []string) {
	seedRandom(t, seed)
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(processors))
	synctest.Test(t, func(t *testing.T) {
		rng := rand.New(rand.NewPCG(seed, 0))
		w = newWorld(t, seed, rng)
		all = w.run(t, rng)
		synctest.Wait()
		faults = w.wrong(all)
	})
	return w, all, faults
}

// a seed repeats its run exactly: every call, message and request happens at the same
// nanosecond, with the same result. On two processors, and with the race detector, goroutines
// that are runnable at the same time run in other orders than on one.
func TestReplay(t *testing.T) {
	n := uint64(30)
	switch {
	case testkit.Soak():
		n = 3_000
	case testkit.Race:
		n = 3
	}
	first, n := chooseSeeds(t, n)
	for seed := first; seed < first+n; seed++ {
		one, _, _ := simulate(t, seed, 1)
		two, _, _ := simulate(t, seed, 2)
		if difference := differ(one.events(), two.events()); difference != "" {
			t.Errorf("seed %d: a second run differs:\n%s", seed, difference)
		}
	}
}

// differ returns the first events in which two runs differ, and those before.
func differ(one, two []event) string {
	n := 0
	for n < min(len(one), len(two)) && one[n] == two[n] {
		n++
	}
	if n == len(one) && n == len(two) {
		return ""
	}
	var b strings.Builder
	fmt.Fprintln(&b, "both:", one[max(0, n-10):n])
	fmt.Fprintln(&b, "one:", one[n:min(n+5, len(one))])
	fmt.Fprintln(&b, "two:", two[n:min(n+5, len(two))])
	return b.String()
}
