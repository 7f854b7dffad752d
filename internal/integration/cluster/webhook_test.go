package cluster_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/keyhatch/keyhatch/internal/testkit"
)

// Invariant 10, M-16: after a webhook has returned 200, the other instances soon use the new
// plan.
func TestWebhookReachesEveryProcess(t *testing.T) {
	n := testkit.Scale(40, 10_000)
	for _, bus := range buses {
		t.Run(bus, func(t *testing.T) {
			c := newCluster(t, sharedServers(t), 3, setup{Bus: bus, Plans: true})
			r := c.cancelAll(n, 10*time.Second)
			t.Logf("plans | bus %s | %d cancellations, 3 processes | from the webhook's 200 until the last refuses: %s | accepted later than 1 s: %d | accepted after a refusal: %d",
				bus, n, spread(r.fromEnd), r.later(time.Second), r.after)
			if p := testkit.Percentile(r.fromEnd, 99); testkit.Soak() && p >= soon/10 { // of a hundred it is the slowest one
				t.Errorf("p99: got %v, want less than 100 ms", p)
			}
			if r.later(soon) > 0 || r.after > 0 {
				t.Errorf("got %d accepted %v later, and %d after a refusal, want none", r.later(soon), soon, r.after)
			}
		})
	}
}

// cancelAll gives plans to new owners, and cancels them through each instance in turn while
// all instances validate the owners' keys.
func (c *cluster) cancelAll(n int, wait time.Duration) *revocations {
	c.Helper()
	r := &revocations{}
	const some = 100 // keys at a time, since each instance validates all of them in turn
	for ; n > 0; n -= some {
		keys := make([]key, min(n, some))
		for i := range keys {
			owner := fmt.Sprintf("%s_%d", testkit.NewName(), i)
			c.members[0].bill(owner, "active")
			d := ask[done](c, c.members[0].instance, "create", op{Owner: owner})
			keys[i] = key{op{owner, d.Key, d.Token}}
		}
		for _, m := range c.members {
			m.watch("cancel", 300*time.Microsecond, keys)
		}
		ended := make([]done, len(keys))
		for i, k := range keys {
			ended[i] = c.members[i%len(c.members)].bill(k.Owner, "cancelled")
		}
		for who, m := range c.members {
			r.add(c, who, m.watched("cancel", wait), ended)
		}
	}
	return r
}

// bill sends the billing system's event to the instance.
func (m *member) bill(owner, status string) done {
	m.Helper()
	d := ask[done](m, m.instance, "bill", bill{owner, status})
	if d.Answer != "200 OK" {
		m.Fatalf("webhook: got %s, want 200", d.Answer)
	}
	return d
}
