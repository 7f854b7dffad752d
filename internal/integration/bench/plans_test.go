package bench_test

import (
	"fmt"
	"testing"

	"github.com/keyhatch/keyhatch/apikey"
	"github.com/keyhatch/keyhatch/store/memstore"
)

// BenchmarkPlans measures a validation of random keys with plans and without. Each owner has
// five keys and one of three plans.
func BenchmarkPlans(b *testing.B) {
	t := newTable("Validation with plans, in ns. The ratio is that of with plans to without.", "keys", "SHA-256", "without", "with plans", "ratio")
	for _, size := range []int{1, 1_000, 100_000} {
		b.Run(fmt.Sprint("keys=", size), func(b *testing.B) {
			st, room := memstore.New(), max(size, 1_000)*5/4
			without := newManager(b, st, room, apikey.Options{})
			with := newManager(b, st, room, apikey.Options{Entitlements: plans()})
			tokens := create(without, size)
			fill(without, tokens)
			fill(with, tokens)
			picked := pick(tokens, max(1<<16, size))
			times := inTurn(b, 1, 1<<13, floor(picked), keyhatch("without", without, picked), keyhatch("with plans", with, picked))
			r := ratio(times[2] / times[1])
			t.row(size, times[0], times[1], times[2], r)
			b.ReportMetric(float64(r), "ratio")
		})
	}
	t.print()
}
