package cluster_test

import (
	"testing"
	"time"
)

// an instance that reaches the store alone says that others do not know
// what it has revoked, and they refuse it once the network is whole again.
func TestPartedInstanceRevokes(t *testing.T) {
	t.Parallel()
	faults := []fault{blackHole, reset}
	if soak {
		faults = networkOnes
	}
	for _, f := range faults {
		for _, level := range []bool{false, true} {
			name := f.name + ", no second level"
			if level {
				name = f.name + ", second level"
			}
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				revokeParted(t, newCluster(t, sharedServers(t), 2, setup{Bus: redisBus, Level: level}), f, name)
			})
		}
	}
}

func revokeParted(t *testing.T, c *cluster, f fault, name string) {
	parted, whole := c.members[0], c.members[1]
	k := c.create(parted, 1)
	whole.watch("parted", time.Millisecond, k)
	parted.cache.set(f)
	began := time.Now()
	d := ask[done](t, parted.instance, "revoke", k[0].op)
	if d.Answer != notPropagated && f.slice == 0 && f.lateEnd == 0 {
		t.Errorf("Revoke: got %q, want %q", d.Answer, notPropagated)
	}
	time.Sleep(time.Until(began.Add(count(4*time.Second, 20*time.Second))))
	healed := time.Now().UnixNano()
	parted.cache.heal()
	seen := whole.watched("parted", patience/2)[0]
	t.Logf("R-11 | bus redis | parted instance revokes: %s | its answer: %s, after %s | the other refuses %s after it, %s after healing",
		name, d.Answer, after(d.End, d.Begin), after(seen.Refused, d.End), after(seen.Refused, healed))
	if seen.Refused == 0 || seen.Wrong > 0 || seen.After > 0 {
		t.Errorf("got %+v, want a key that is accepted, and then refused as revoked for good", seen)
	}
	if late := time.Duration(seen.Refused - healed); late > soon {
		t.Errorf("refused %v after healing, want %v at most", late, soon)
	}
}
