package bench_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/keyhatch/keyhatch/apikey"
	"github.com/keyhatch/keyhatch/internal/testkit"
	"github.com/keyhatch/keyhatch/store/memstore"
)

// A contender validates tokens.
type contender struct {
	name string
	new  func(tokens []string) (func(token string) error, error)
}

var contenders = []contender{{"golang-lru", withLRU}, {"otter", withOtter}}

// sizes returns the numbers of keys. A million takes a minute.
func sizes() []int {
	all := []int{1, 1_000, 10_000, 100_000}
	if testkit.Soak() {
		all = append(all, 1_000_000)
	}
	return all
}

// rounds is how often each figure is measured. The table has the medians.
const rounds = 5

// BenchmarkByHand measures a validation of random keys on one core and on two, in turn with
// the contenders and with SHA-256 of a token, and prints a table.
func BenchmarkByHand(b *testing.B) {
	for _, cores := range []int{1, 2} {
		var table strings.Builder
		fmt.Fprintf(&table, "ns per validation, %d core(s), median of %d\n%10s %8s %10s", cores, rounds, "keys", "SHA-256", "keyhatch")
		for _, c := range contenders {
			fmt.Fprintf(&table, " %10s", c.name)
		}
		fmt.Fprintf(&table, " %22s\n", "keyhatch to the fastest")
		for _, size := range sizes() {
			if cores == 2 && size > 1_000 {
				continue
			}
			b.Run(fmt.Sprintf("cores=%d/keys=%d", cores, size), func(b *testing.B) {
				line, ratio := compare(b, size, cores)
				b.ReportMetric(ratio, "ratio")
				b.ReportMetric(0, "ns/op")
				if b.N == 1 {
					table.WriteString(line)
				}
			})
		}
		fmt.Println(table.String())
	}
}

// compare returns a line of the table, and the time of keyhatch over that of the fastest
// contender.
func compare(b *testing.B, size, cores int) (line string, ratio float64) {
	m, tokens := newManager(b, size)
	all := []func(string) error{
		func(token string) error { sha256.Sum256([]byte(token)); return nil },
		func(token string) error { _, err := m.Validate(context.Background(), token); return err },
	}
	for _, c := range contenders {
		validate, err := c.new(tokens)
		if err != nil {
			b.Fatal(err)
		}
		all = append(all, validate)
	}
	random := make([]string, 1<<16)
	for i := range random {
		random[i] = tokens[rand.IntN(len(tokens))]
	}
	runtime.GC()
	times := make([][]float64, len(all))
	for range rounds {
		for i, validate := range all {
			times[i] = append(times[i], measure(b, random, validate, cores))
		}
	}
	line = fmt.Sprintf("%10d", size)
	var medians []float64
	for i, t := range times {
		slices.Sort(t)
		medians = append(medians, t[rounds/2])
		line += fmt.Sprintf(" %*.0f", []int{8, 10, 10, 10}[i], t[rounds/2])
	}
	ratio = medians[1] / min(medians[2], medians[3])
	return line + fmt.Sprintf(" %22.2f\n", ratio), ratio
}

// measure returns the nanoseconds for each token, with all cores together.
func measure(b *testing.B, tokens []string, validate func(string) error, cores int) float64 {
	b.Helper()
	var failed error
	done := make(chan error)
	began := time.Now()
	for core := range cores {
		go func() {
			var err error
			for i := range tokens {
				if e := validate(tokens[(i+core*len(tokens)/2)%len(tokens)]); e != nil {
					err = e
				}
			}
			done <- err
		}()
	}
	for range cores {
		if err := <-done; err != nil {
			failed = err
		}
	}
	took := time.Since(began)
	if failed != nil {
		b.Fatal(failed)
	}
	return float64(took.Nanoseconds()) / float64(cores*len(tokens))
}

// newManager returns a Manager whose cache holds the keys, and their tokens.
func newManager(b *testing.B, size int) (*apikey.Manager, []string) {
	b.Helper()
	m, err := apikey.New(memstore.New(), &apikey.Options{CacheTTL: time.Hour, CacheSize: max(size, 1_000) * 5 / 4, MaxKeysPerOwner: -1})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { m.Close(context.Background()) })
	tokens := make([]string, size)
	for i := range tokens {
		issued, err := m.Create(b.Context(), apikey.CreateParams{Owner: fmt.Sprint("owner ", i/5), Name: "key"})
		if err != nil {
			b.Fatal(err)
		}
		tokens[i] = issued.Secret.Reveal()
	}
	for range 2 { // the second time, all are in the cache
		for _, token := range tokens {
			if _, err := m.Validate(b.Context(), token); err != nil {
				b.Fatal(err)
			}
		}
	}
	return m, tokens
}
