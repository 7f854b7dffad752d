package bench_test

import (
	"fmt"
	"os"
	"testing"

	"github.com/keyhatch/keyhatch/apikey"
	"github.com/keyhatch/keyhatch/internal/testkit"
	"github.com/keyhatch/keyhatch/store/memstore"
)

// sizes returns the numbers of keys. A million takes a minute.
func sizes() []int {
	all := []int{1, 1_000, 10_000, 100_000}
	if chartFile() != "" {
		all = []int{1, 10, 100, 1_000, 10_000, 100_000, 1_000_000}
	} else if testkit.Soak() {
		all = append(all, 1_000_000)
	}
	return all
}

// BenchmarkByHand measures a validation of random keys on one core and on two.
func BenchmarkByHand(b *testing.B) {
	for _, cores := range []int{1, 2} {
		t := newTable(fmt.Sprintf("Validation of random keys, %d core(s), in ns. The ratio is that of keyhatch to the faster program by hand.", cores),
			"keys", "SHA-256", "keyhatch", "golang-lru", "otter", "ratio", "to SHA-256")
		var drawn chart
		for _, size := range sizes() {
			if cores == 2 && size > 1_000 {
				continue
			}
			b.Run(fmt.Sprintf("cores=%d/keys=%d", cores, size), func(b *testing.B) {
				m := newManager(b, memstore.New(), max(size, 1_000)*5/4, apikey.Options{})
				tokens := create(m, size)
				fill(m, tokens)
				picked := pick(tokens, min(max(1<<16, size), 1<<20))
				programs := []program{floor(picked), keyhatch("keyhatch", m, picked)}
				for _, c := range contenders {
					programs = append(programs, byHand(c.name, c.new(tokens, refuse), picked))
				}
				times := inTurn(b, cores, 1<<13, programs...)
				r := ratio(times[1] / min(times[2], times[3]))
				t.row(size, times[0], times[1], times[2], times[3], r, ratio(times[1]/times[0]))
				b.ReportMetric(float64(r), "ratio")
				drawn.add(size, programs, times)
			})
		}
		t.print()
		if file := chartFile(); file != "" && cores == 1 && len(drawn.keys) > 0 {
			if err := os.WriteFile(file, []byte(drawn.svg()), 0o644); err != nil {
				b.Fatal(err)
			}
		}
	}
}
