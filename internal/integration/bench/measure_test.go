package bench_test

import (
	"crypto/sha256"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

// A figure is measured in at least this many rounds. Short rounds are more often interrupted by
// other work on the machine, so there are more of them, and the median leaves those out.
const (
	shortRounds = 21
	longRounds  = 5
)

// A program is one of those that a table compares.
type program struct {
	name    string
	prepare func()            // runs before each round, and is not measured; nil does nothing
	call    func(i int) error // makes the i-th call
}

// floor returns the program that computes the SHA-256 of each token.
func floor(tokens []string) program {
	texts := make([][]byte, len(tokens))
	for i, token := range tokens {
		texts[i] = []byte(token)
	}
	return program{name: "SHA-256", call: func(i int) error {
		sha256.Sum256(texts[i%len(texts)])
		return nil
	}}
}

// inTurn measures the programs in turn. It returns the median time per call of each.
func inTurn(b *testing.B, cores, calls int, programs ...program) []nanoseconds {
	b.Helper()
	times := make([][]nanoseconds, len(programs))
	inRounds(b, shortRounds, func(round int) {
		for i, p := range programs {
			if p.prepare != nil {
				p.prepare()
			}
			took, err := p.time(cores, calls, round*calls)
			if err != nil {
				b.Fatal(p.name, ": ", err)
			}
			times[i] = append(times[i], took)
		}
	})
	var medians []nanoseconds
	for _, t := range times {
		medians = append(medians, median(t))
	}
	return medians
}

// inRounds calls round until the time of the benchmark has passed, and at least the given number
// of times.
func inRounds(b *testing.B, atLeast int, round func(n int)) {
	b.Helper()
	runtime.GC()
	n := 0
	for ; b.Loop(); n++ {
		round(n)
	}
	for ; n < atLeast; n++ {
		round(n)
	}
	b.ReportMetric(0, "ns/op") // the time of a round means nothing
}

// time makes the given number of calls on each core, beginning with the call number first. It
// returns the elapsed time divided by the number of calls on all cores.
func (p *program) time(cores, calls, first int) (nanoseconds, error) {
	errs := make(chan error)
	began := time.Now()
	for core := range cores {
		go func() {
			for i := range calls {
				// The cores begin at different tokens.
				if err := p.call(first + core*calls/2 + i); err != nil {
					errs <- err
					return
				}
			}
			errs <- nil
		}()
	}
	var failed error
	for range cores {
		if err := <-errs; err != nil {
			failed = err
		}
	}
	return nanoseconds(time.Since(began).Nanoseconds()) / nanoseconds(cores*calls), failed
}

// allocated returns the allocations and the bytes of each call, rounded down like those of
// [testing.AllocsPerRun].
func allocated(calls int, call func(i int) error) (allocs, bytes int) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	_ = call(0) // the first call may allocate what later ones use again
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for i := range calls {
		_ = call(i + 1)
	}
	runtime.ReadMemStats(&after)
	return int(after.Mallocs-before.Mallocs) / calls, int(after.TotalAlloc-before.TotalAlloc) / calls
}

func median[T ~float64 | int](values []T) T {
	return slices.Sorted(slices.Values(values))[len(values)/2]
}

type (
	nanoseconds float64
	ratio       float64
)

func (n nanoseconds) String() string { return fmt.Sprintf("%.0f", float64(n)) }
func (r ratio) String() string       { return fmt.Sprintf("%.2f", float64(r)) }

// A table is printed when all of its benchmarks have ended.
type table struct{ text strings.Builder }

func newTable(title string, columns ...any) *table {
	t := &table{}
	fmt.Fprintf(&t.text, "\n%s\n", title)
	t.row(columns...)
	return t
}

// row adds a row. The first cell names it.
func (t *table) row(cells ...any) {
	fmt.Fprintf(&t.text, "%-36v", cells[0])
	for _, c := range cells[1:] {
		fmt.Fprintf(&t.text, " %12v", c)
	}
	t.text.WriteByte('\n')
}

func (t *table) print() { fmt.Println(t.text.String()) }
