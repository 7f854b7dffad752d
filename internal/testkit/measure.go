package testkit

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"time"
)

// Soak reports whether KEYHATCH_SOAK asks for the full counts, which take minutes.
func Soak() bool { return os.Getenv("KEYHATCH_SOAK") != "" }

// Scale returns short, or full if [Soak] says so.
func Scale[T int | time.Duration](short, full T) T {
	if Soak() {
		return full
	}
	return short
}

// Trials returns how often a test repeats, or how many keys or goroutines it uses: full if [Soak]
// says so, and short otherwise. With the race detector, which is slow, it returns a fifth of short
// if short is at least 1,000.
func Trials(short, full int) int {
	if Race && short >= 1_000 {
		short /= 5
	}
	return Scale(short, full)
}

// Percentile returns the time that p percent of the times do not exceed, and 0 if there
// are none. It does not sort the times in place.
func Percentile(times []time.Duration, p int) time.Duration {
	if len(times) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(times))
	return sorted[min(len(sorted)*p/100, len(sorted)-1)]
}

// NewName returns a name that no other test has, for a schema, table, namespace or the
// like.
func NewName() string { return fmt.Sprintf("test_%x", rand.Uint64()) }
