package plans_test

import (
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/keyhatch/keyhatch/entitlement"
)

// forEachBenchmark runs a benchmark on all databases.
func forEachBenchmark(b *testing.B, run func(*testing.B, database)) {
	for _, d := range databases {
		b.Run(d.name, func(b *testing.B) { run(b, d) })
	}
}

// BenchmarkEvents measures signed events of new subscriptions, from the request to the
// response, sent by eight connections at once.
func BenchmarkEvents(b *testing.B) {
	forEachBenchmark(b, func(b *testing.B, d database) {
		for _, sender := range senders {
			b.Run(sender.name, func(b *testing.B) {
				p, db := d.start(b)
				db.SetMaxOpenConns(8)
				h := newHandler(b, p, sender, nil)
				var n atomic.Int64
				b.SetParallelism(4)
				b.ResetTimer() // the database has just been started
				b.RunParallel(func(loop *testing.PB) {
					for loop.Next() {
						id := n.Add(1)
						if status := post(b, h, sender, sender.event(sale{id: fmt.Sprint("sub_", id), owner: fmt.Sprint("owner ", id), product: "product_pro"})); status != http.StatusOK {
							b.Errorf("got status %d, want 200", status)
						}
					}
				})
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
			})
		}
	})
}

// BenchmarkEntitlement measures a read of an owner who has paid every month for the given
// number of months, with a charge for each payment.
func BenchmarkEntitlement(b *testing.B) {
	forEachBenchmark(b, func(b *testing.B, d database) {
		for _, months := range []int{0, 12, 60} {
			b.Run(fmt.Sprint(months), func(b *testing.B) {
				p, _ := d.start(b)
				now := time.Now()
				apply(b, p, reportedAt(1, sold("ann", "sub_1", "pro")))
				for i := range months {
					payment := paid(fmt.Sprint("in_", i), "sub_1")
					payment.PeriodStart, payment.PeriodEnd = now.AddDate(0, i-months, 0), now.AddDate(0, i+1-months, 1)
					apply(b, p, reportedAt(i, payment))
					apply(b, p, reportedAt(i, entitlement.Charge{ID: fmt.Sprint("pi_", i), Payment: payment.ID}))
				}
				for b.Loop() {
					if e, err := p.Entitlement(b.Context(), "ann"); err != nil || !e.APIAccess {
						b.Fatalf("got %+v, %v, want access", e, err)
					}
				}
			})
		}
	})
}
