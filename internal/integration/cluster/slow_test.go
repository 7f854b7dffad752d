package cluster_test

import (
	"testing"
	"time"

	"github.com/keyhatch/keyhatch/internal/testkit"
)

// a store that takes 5 s for each call does not delay requests after this is detected,
// and no calls pile up.
func TestSlowStore(t *testing.T) {
	t.Parallel()
	for _, bus := range fully(notifyBus, redisBus, notifyBus, noBus) {
		t.Run(bus, func(t *testing.T) {
			t.Parallel()
			o := newOutage(t, setup{
				Bus: bus, Shared: bus == redisBus,
				CacheTTL: testkit.Scale(time.Second, 30*time.Second), StaleIfError: 10 * time.Minute, CallTimeout: testkit.Scale(onRace(1500*time.Millisecond, 2*time.Second), 3*time.Second),
			})
			o.database.Inject(slowStore)
			if bus == notifyBus {
				o.bus.Inject(slowStore)
			}
			began := time.Now()
			testkit.Await(t, "unknown keys are refused at once", func() bool {
				r := ask[loadResult](t, o.instance, "load", loadArgs{Rate: outageRate, For: 200 * time.Second / time.Duration(outageRate), Good: o.good, GoodIn: 80, BadIn: 20})
				return r.Unknown[unavailable] > 0 && r.Slow <= 5
			})
			known := time.Since(began)
			d := testkit.Scale(2*time.Second, 20*time.Second)
			during := o.requests(d)
			o.tell("R-04 store slow", during)
			o.want("R-04 store slow", during, accepted, unavailable)
			checkSlow(t, during, d)
			t.Logf("R-04 | bus %s | circuit breaker open after %s | p99 %s | goroutines: %d steady, %d slow", bus, short(known), short(during.P99), o.steady.Goroutines, during.Goroutines)
			// The goroutines of 64 loads, the maximum, count here.
			if most := 2 * max(o.steady.Goroutines, 64); during.Goroutines >= most {
				t.Errorf("got %d goroutines, want less than %d", during.Goroutines, most)
			}
		})
	}
}

// a hit in the shared cache does not close the circuit breaker of the store.
func TestSlowStoreWithSharedCache(t *testing.T) {
	t.Parallel()
	c := newCluster(t, sharedServers(t), 2, setup{Bus: redisBus, Shared: true, CallTimeout: 2 * time.Second})
	victim, other := c.members[0], c.members[1]
	known := tokens(c.create(other, onRace(2000, 400)))
	other.validateAll(known)
	victim.database.Inject(slowStore)
	args := loadArgs{Rate: outageRate, For: 200 * time.Second / time.Duration(outageRate), Good: known[:1], GoodIn: 50, BadIn: 50}
	testkit.Await(t, "unknown keys are refused at once", func() bool {
		r := ask[loadResult](t, victim.instance, "load", args)
		return r.Unknown[unavailable] > 0 && r.Slow <= 5
	})
	args.For, args.Good, args.GoodIn, args.BadIn = testkit.Scale(4*time.Second, 20*time.Second), known, 95, 5
	r := ask[loadResult](t, victim.instance, "load", args)
	t.Logf("R-04 | store slow, keys in the shared cache | %d/s | known %v, unknown %v | p50 %s, p99 %s, max %s | goroutines %d",
		outageRate, r.Good, r.Unknown, short(r.P50), short(r.P99), short(r.Max), r.Goroutines)
	checkSlow(t, r, args.For)
}

// checkSlow allows ten slow requests a second, which are the circuit breaker's trials: 1 % of
// a thousand requests.
func checkSlow(t *testing.T, r loadResult, d time.Duration) {
	t.Helper()
	if most := int(10 * d.Seconds()); r.Slow > most {
		t.Errorf("got %d requests that took longer than %v, want at most %d in %v", r.Slow, slow, most, d)
	}
}
