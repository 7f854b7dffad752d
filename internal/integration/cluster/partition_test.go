package cluster_test

import (
	"sync"
	"testing"
	"time"

	"github.com/keyhatch/keyhatch/internal/testkit"
)

const (
	detection  = 3 * time.Second  // time until an instance detects that it receives nothing
	aloneTTL   = 10 * time.Second // the longest time for which a cached entry is served from then on
	lookupTime = 3 * time.Second  // the default of CallTimeout
)

// an instance that is cut off from the bus, or also from the store, accepts a key that was
// revoked elsewhere for at most the documented bound, and refuses the key as soon as the
// partition has ended.
func TestPartition(t *testing.T) {
	t.Parallel()
	for _, bus := range fully(notifyBus, buses...) {
		t.Run(bus, func(t *testing.T) {
			t.Parallel()
			s := setup{Bus: bus, Shared: bus == redisBus, CacheTTL: time.Minute, StaleIfError: testkit.Scale(6*time.Second, 30*time.Second)}
			p := newPartition(t, newCluster(t, sharedServers(t), 1, s))
			p.last(testkit.Scale(7*time.Second, time.Minute))
			for _, c := range p.cases {
				c.check(p)
			}
		})
	}
}

// A partition cuts off every instance except the first, each in another way.
type partition struct {
	*cluster
	whole *member
	cases []*partitionCase
	began int64
}

type partitionCase struct {
	*member
	fault testkit.Fault
	alone bool // cut off from the store too

	early, late         key // revoked elsewhere before and after the loss is detected
	earlyDone, lateDone done
	lost                time.Duration // time until the instance detected the loss
	healed              int64
	seen                []watchedToken
}

func newPartition(t *testing.T, c *cluster) *partition {
	p := &partition{cluster: c, whole: c.members[0]}
	for _, f := range networkOnes {
		p.cases = append(p.cases, &partitionCase{fault: f})
		if testkit.Soak() || f.Name == blackHole.Name || f.Name == reset.Name || f.Name == deaf.Name {
			p.cases = append(p.cases, &partitionCase{fault: f, alone: true})
		}
	}
	c.grow(len(p.cases))
	keys := c.create(p.whole, 2*len(p.cases))
	for i, x := range p.cases {
		x.member = c.members[i+1]
		x.early, x.late = keys[2*i], keys[2*i+1]
		x.watch("elsewhere", 2*time.Millisecond, []key{x.early, x.late})
	}
	return p
}

// cuts reports whether the fault cuts the instance off from the bus, and does not only slow the
// bus down.
func (x *partitionCase) cuts() bool {
	// With the bus of PostgreSQL, a listening connection that cannot send still receives all
	// messages, and the instance publishes over the connection to the store.
	receives := x.fault.Name == mute.Name && x.setup.Bus == notifyBus && !x.alone
	return x.fault.Slice == 0 && x.fault.LateClose == 0 && !receives
}

// part cuts off the store first, since entries that are read after the loss of the bus may
// be cached.
func (x *partitionCase) part(f testkit.Fault) {
	if x.alone {
		x.database.Inject(f)
	}
	x.bus.Inject(f)
	x.cache.Inject(f)
}

// last keeps the instances cut off for the duration d.
func (p *partition) last(d time.Duration) {
	p.began = time.Now().UnixNano()
	for _, x := range p.cases {
		x.part(x.fault)
	}
	var wg sync.WaitGroup
	for _, x := range p.cases {
		x.earlyDone = p.whole.do("revoke", x.early, accepted)
		wg.Go(func() { x.notice(p.began) })
	}
	wg.Wait()
	for _, x := range p.cases {
		x.lateDone = p.whole.do("revoke", x.late, accepted)
	}
	time.Sleep(time.Until(time.Unix(0, p.began).Add(d)))
	// One after the other, so that they do not slow each other down.
	for _, x := range p.cases {
		x.healed = time.Now().UnixNano()
		x.part(testkit.Fault{})
		x.seen = x.watched("elsewhere", patience/2)
	}
}

// notice waits until the instance has detected the loss.
func (x *partitionCase) notice(began int64) {
	for end := time.Now().Add(2 * detection); x.cuts() && time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		var s status
		if x.call("status", struct{}{}, &s) == nil && !s.BusUp {
			x.lost = time.Since(time.Unix(0, began))
			return
		}
	}
}

func (x *partitionCase) check(p *partition) {
	p.Helper()
	longest, where := aloneTTL+detection, "bus"
	if x.alone {
		longest, where = max(p.base.StaleIfError, detection), "bus and store"
	}
	early, late := x.seen[0], x.seen[1]
	healing := max(early.Refused, late.Refused) - x.healed
	p.Logf("R-11 | bus %s | cut off from the %s: %s | detected after %s | accepted for %s if revoked before, %s if revoked later | refused %s after healing",
		p.base.Bus, where, x.fault.Name, short(x.lost), after(early.LastAccepted, x.earlyDone.End), after(late.LastAccepted, x.lateDone.End),
		short(max(time.Duration(healing), 0)))
	for i, d := range []done{x.earlyDone, x.lateDone} {
		x.checkSeen(p, x.seen[i], d, longest)
	}
	// A lost connection empties the cache.
	if lost := p.began + int64(x.lost); x.cuts() && !x.alone && x.earlyDone.End < lost-int64(soon/4) && early.LastAccepted > lost+int64(soon/2) {
		p.Errorf("%s: accepted %s after the loss of the bus was detected, although it was revoked earlier", x.fault.Name, after(early.LastAccepted, lost))
	}
	if x.cuts() && x.lost == 0 || x.lost > detection+soon {
		p.Errorf("%s: detection of the lost bus: got %v, want %v", x.fault.Name, x.lost, detection)
	}
}

func (x *partitionCase) checkSeen(p *partition, s watchedToken, d done, longest time.Duration) {
	p.Helper()
	if s.Accepted == 0 || s.Refused == 0 || s.Wrong > 0 || s.After > 0 {
		p.Errorf("%s: got %+v, want a key that is accepted, and then always refused as revoked", x.fault.Name, s)
	}
	if lasted := time.Duration(s.LastAccepted - d.End); lasted > longest {
		p.Errorf("%s: accepted for %v after the revocation, want at most %v", x.fault.Name, lasted, longest)
	}
	if !x.cuts() && x.fault.LateClose == 0 && time.Duration(s.Refused-d.End) > soon {
		p.Errorf("%s: refused %v after the revocation, want at most %v, since the bus is up", x.fault.Name, time.Duration(s.Refused-d.End), soon)
	}
	if late := time.Duration(s.LastAccepted - x.healed); late > soon {
		p.Errorf("%s: accepted %v after healing, want at most %v", x.fault.Name, late, soon)
	}
	again := soon
	if x.alone { // all calls fail until the one running load has ended
		again += lookupTime
	}
	if late := time.Duration(s.Refused - x.healed); late > again {
		p.Errorf("%s: refused %v after healing, want at most %v", x.fault.Name, late, again)
	}
}

// after formats the time between two instants, or "0s" if it is negative.
func after(later, earlier int64) string { return short(max(time.Duration(later-earlier), 0)) }
