package cluster_test

import (
	"testing"
	"time"

	"github.com/keyhatch/keyhatch/internal/testkit"
)

// an instance that reaches only the store returns ErrNotPropagated from Revoke. The
// others refuse the key when the partition has ended.
func TestPartedInstanceRevokes(t *testing.T) {
	t.Parallel()
	faults := []testkit.Fault{blackHole, reset}
	if testkit.Soak() {
		faults = networkOnes
	}
	for _, f := range faults {
		for _, shared := range []bool{false, true} {
			name := f.Name + ", no shared cache"
			if shared {
				name = f.Name + ", shared cache"
			}
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				revokeParted(t, newCluster(t, sharedServers(t), 2, setup{Bus: redisBus, Shared: shared}), f, name)
			})
		}
	}
}

func revokeParted(t *testing.T, c *cluster, f testkit.Fault, name string) {
	parted, whole := c.members[0], c.members[1]
	k := c.create(parted, 1)
	whole.watch("parted", time.Millisecond, k)
	parted.cache.Inject(f)
	began := time.Now()
	d := ask[done](t, parted.instance, "revoke", k[0].op)
	if d.Answer != notPropagated && f.Slice == 0 && f.LateClose == 0 {
		t.Errorf("Revoke: got %q, want %q", d.Answer, notPropagated)
	}
	time.Sleep(time.Until(began.Add(testkit.Scale(4*time.Second, 20*time.Second))))
	healed := time.Now().UnixNano()
	parted.cache.Heal()
	seen := whole.watched("parted", patience/2)[0]
	t.Logf("R-11 | bus redis | partitioned instance revokes: %s | its result: %s, after %s | the other refuses %s after it, %s after healing",
		name, d.Answer, after(d.End, d.Begin), after(seen.Refused, d.End), after(seen.Refused, healed))
	if seen.Refused == 0 || seen.Wrong > 0 || seen.After > 0 {
		t.Errorf("got %+v, want a key that is accepted, and then always refused as revoked", seen)
	}
	if late := time.Duration(seen.Refused - healed); late > soon {
		t.Errorf("refused %v after healing, want at most %v", late, soon)
	}
}
