package cluster_test

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/keyhatch/keyhatch/internal/testkit"
)

// outageRate is the number of requests per second.
var outageRate = onRace(1000, 200)

// while the store is down, cached keys keep working, and unknown ones are an
// outage, never a refusal. When the store is back, it is not overloaded.
func TestStoreOutage(t *testing.T) {
	t.Parallel()
	for _, bus := range fully(redisBus, redisBus, notifyBus, noBus) {
		t.Run(bus, func(t *testing.T) {
			t.Parallel()
			o := newOutage(t, setup{
				Bus: bus, Shared: bus == redisBus,
				CacheTTL:     testkit.Scale(time.Second, 30*time.Second),
				StaleIfError: testkit.Scale(10*time.Second, 7*time.Minute), // covers the outage and the time between a key's last use and the outage
			})
			o.shorterThanStale(testkit.Scale(2*time.Second, 5*time.Minute))
		})
	}
}

// after StaleIfError, validations of all keys return ErrUnavailable.
func TestLongStoreOutage(t *testing.T) {
	t.Parallel()
	for _, bus := range fully(notifyBus, redisBus, notifyBus, noBus) {
		t.Run(bus, func(t *testing.T) {
			t.Parallel()
			o := newOutage(t, setup{
				Bus: bus, Shared: bus == redisBus,
				CacheTTL: testkit.Scale(time.Second, 30*time.Second), StaleIfError: testkit.Scale(2*time.Second, time.Minute),
			})
			o.longerThanStale()
		})
	}
}

// An outage tests one instance while its store is down. Active and revoked keys are cached.
type outage struct {
	*member
	good, gone []string
	steady     loadResult
}

func newOutage(t *testing.T, s setup) *outage {
	c := newCluster(t, sharedServers(t), 1, s)
	o := &outage{member: c.members[0]}
	keys := c.create(o.member, testkit.Scale(onRace(200, 40), 5000))
	for _, k := range keys[:len(keys)/10] {
		o.do("revoke", k, accepted)
	}
	o.gone, o.good = tokens(keys[:len(keys)/10]), tokens(keys[len(keys)/10:])
	// Keys that are first used at the same time are always reloaded at the same time.
	ask[struct{}](t, o.instance, "warm", warmArgs{append(slices.Clone(o.good), o.gone...), s.CacheTTL})
	o.steady = o.requests(2 * s.CacheTTL)
	o.tell("steady", o.steady)
	o.want("steady", o.steady, accepted, unknown)
	return o
}

// requests returns the result of a load with 80 % active, and unknown and revoked keys.
func (o *outage) requests(d time.Duration) loadResult {
	o.Helper()
	return ask[loadResult](o, o.instance, "load", loadArgs{
		Rate: outageRate, For: d, Good: o.good, Revoked: o.gone, GoodIn: 80, BadIn: 10,
	})
}

// down makes the store fail as if its server were gone.
func (o *outage) down() {
	o.database.Inject(reset)
	if o.setup.Bus == notifyBus {
		o.bus.Inject(reset)
	}
}

func (o *outage) heal() {
	o.database.Heal()
	o.bus.Heal()
}

func (o *outage) shorterThanStale(d time.Duration) {
	o.Helper()
	o.down()
	during := o.requests(d)
	o.tell("R-01 store down", during)
	o.want("R-01 store down", during, accepted, unavailable)
	o.heal()
	o.recover(shortOutage)
}

func (o *outage) longerThanStale() {
	o.Helper()
	o.down()
	// Keys that are used meanwhile are accepted for StaleIfError, and never refused.
	o.requests(o.setup.StaleIfError + 100*time.Millisecond)
	past := o.requests(time.Second)
	o.tell("R-02 past StaleIfError", past)
	o.want("R-02 past StaleIfError", past, unavailable, unavailable)
	o.heal()
	o.recover(longOutage)
}

// recover checks the time after the store is back.
func (o *outage) recover(when string) {
	o.Helper()
	back := o.requests(testkit.Scale(3*time.Second, 40*time.Second))
	o.tell(when, back)
	steady, most := peak(o.steady.Seconds), peak(back.Seconds)
	settled := back.Seconds[min(5, len(back.Seconds)-1)].P99
	o.Logf("%s | bus %s | reads per second: %d steady, %d after | p99 %s, in second %d", when, o.setup.Bus, steady, most, short(settled), min(5, len(back.Seconds)-1)+1)
	if spared := o.setup.Bus != notifyBus && when == shortOutage; spared && most > 2*steady {
		o.Errorf("%s: got %d reads in a second, want at most twice as many as the %d before", when, most, steady)
	}
	// If the bus was down too, or all entries have expired, each key is looked up once.
	if extra := total(back.Seconds) - 2*steady*int64(len(back.Seconds)); extra > int64(len(o.good)+len(o.gone)) {
		o.Errorf("%s: got %d additional look-ups, want at most one for each key", when, extra)
	}
	for what, n := range maps.All(back.Revoked) {
		if what == accepted {
			o.Errorf("%s: got %d revoked keys accepted", when, n)
		}
	}
	// Latencies are normal again after five seconds. A short run has ended by then.
	if usual := max(2*o.steady.P99, 50*time.Millisecond); len(back.Seconds) > 5 && settled > usual {
		o.Errorf("%s: p99: got %v, want at most %v, as before the outage", when, settled, usual)
	}
}

const shortOutage, longOutage = "R-03 after a short outage", "R-03 after a long outage"

func total(seconds []second) (reads int64) {
	for _, s := range seconds {
		reads += s.Reads
	}
	return reads
}

func peak(seconds []second) (reads int64) {
	for _, s := range seconds {
		reads = max(reads, s.Reads)
	}
	return reads
}

// want fails the test unless all active keys have one result, and all unknown keys another.
// Revoked keys must be neither accepted nor unknown.
func (o *outage) want(when string, r loadResult, good, bad string) {
	o.Helper()
	if r.Good[good] == 0 || len(r.Good) != 1 {
		o.Errorf("%s: active keys: got %v, want only %s", when, r.Good, good)
	}
	if r.Unknown[bad] == 0 || len(r.Unknown) != 1 {
		o.Errorf("%s: unknown keys: got %v, want only %s", when, r.Unknown, bad)
	}
	if n := r.Revoked[revoked] + r.Revoked[unavailable]; n == 0 || len(r.Revoked) > 2 || r.Revoked[accepted] > 0 {
		o.Errorf("%s: revoked keys: got %v", when, r.Revoked)
	}
}

func (o *outage) tell(when string, r loadResult) {
	o.Helper()
	reads := ""
	for _, s := range r.Seconds[:min(len(r.Seconds), 6)] {
		reads += fmt.Sprintf(" %d", s.Reads)
	}
	o.Logf("%s | bus %s | %d/s | active %v, unknown %v, revoked %v | p50 %s, p99 %s, max %s | goroutines %d | reads in each second:%s",
		when, o.setup.Bus, outageRate, r.Good, r.Unknown, r.Revoked, short(r.P50), short(r.P99), short(r.Max), r.Goroutines, reads)
}
