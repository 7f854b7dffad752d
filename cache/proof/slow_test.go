package proof_test

import (
	"testing"
	"time"
)

// a store that takes 5 s to answer holds nobody up once that is known,
// and nobody gathers in front of it.
func TestSlowStore(t *testing.T) {
	t.Parallel()
	for _, bus := range []string{redisBus, notifyBus, noBus} {
		t.Run(bus, func(t *testing.T) {
			t.Parallel()
			o := newOutage(t, setup{
				Bus: bus, Level: bus == redisBus,
				CacheTTL: count(time.Second, 30*time.Second), StaleIfError: 10 * time.Minute, LookupTimeout: count(onRace(500*time.Millisecond, 2*time.Second), 3*time.Second),
			})
			o.database.set(slowStore)
			if bus == notifyBus {
				o.bus.set(slowStore)
			}
			began := time.Now()
			await(t, "unknown keys are refused at once", func() bool {
				r := ask[loadResult](t, o.instance, "load", loadArgs{Rate: outageRate, For: 200 * time.Second / time.Duration(outageRate), Good: o.good, GoodIn: 80, BadIn: 20})
				return r.P50 < 100*time.Millisecond && r.Unknown[unavailable] > 0 && r.P99 < 300*time.Millisecond
			})
			known := time.Since(began)
			slow := o.requests(count(2*time.Second, 20*time.Second))
			o.tell("R-04 store slow", slow)
			o.want("R-04 store slow", slow, accepted, unavailable)
			t.Logf("R-04 | bus %s | held back after %s | p99 %s | goroutines: %d steady, %d slow", bus, short(known), short(slow.P99), o.steady.Goroutines, slow.Goroutines)
			if slow.P99 > 300*time.Millisecond {
				t.Errorf("p99 is %v, want at most 300 ms", slow.P99)
			}
			// Few as they are here, those of the 64 loads that there may be count.
			if most := 2 * max(o.steady.Goroutines, 64); slow.Goroutines >= most {
				t.Errorf("got %d goroutines, want less than %d", slow.Goroutines, most)
			}
		})
	}
}

// what is found in the second level is no sign that the store is quick
// again.
func TestSlowStoreBesideLevel(t *testing.T) {
	t.Parallel()
	c := newCluster(t, sharedServers(t), 2, setup{Bus: redisBus, Level: true, LookupTimeout: 2 * time.Second})
	slow, other := c.members[0], c.members[1]
	known := tokens(c.create(other, onRace(2000, 400)))
	other.validateAll(known)
	slow.database.set(slowStore)
	args := loadArgs{Rate: outageRate, For: 200 * time.Second / time.Duration(outageRate), Good: known[:1], GoodIn: 50, BadIn: 50}
	await(t, "unknown keys are refused at once", func() bool {
		r := ask[loadResult](t, slow.instance, "load", args)
		return r.P99 < 300*time.Millisecond && r.Unknown[unavailable] > 0
	})
	args.For, args.Good, args.GoodIn, args.BadIn = count(4*time.Second, 20*time.Second), known, 95, 5
	r := ask[loadResult](t, slow.instance, "load", args)
	t.Logf("R-04 | store slow, keys in the second level | %d/s | known %v, unknown %v | p50 %s, p99 %s, max %s | goroutines %d",
		outageRate, r.Good, r.Unknown, short(r.P50), short(r.P99), short(r.Max), r.Goroutines)
	if r.P99 > 300*time.Millisecond {
		t.Errorf("p99 is %v, want at most 300 ms", r.P99)
	}
}
