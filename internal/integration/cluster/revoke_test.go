package cluster_test

import (
	"testing"
	"time"

	"github.com/keyhatch/keyhatch/internal/testkit"
)

// C-04: a key that was revoked through one of three processes is soon refused by all.
func TestRevokeReachesEveryProcess(t *testing.T) {
	n := testkit.Scale(60, 10_000)
	for _, bus := range buses {
		t.Run(bus, func(t *testing.T) {
			c := newCluster(t, sharedServers(t), 3, setup{Bus: bus, Shared: bus == redisBus})
			r := c.revokeAll(n, 10*time.Second)
			t.Logf("C-04 | bus %s | %d revokes, 3 processes | from the call: %s | from its return: %s | accepted later than 1 s: %d | accepted after a refusal: %d",
				bus, n, spread(r.fromBegin), spread(r.fromEnd), r.later(time.Second), r.after)
			if p := testkit.Percentile(r.fromEnd, 99); testkit.Soak() && p >= soon/10 { // of a hundred, this is the slowest one
				t.Errorf("p99: got %v, want less than 100 ms", p)
			}
			if r.later(soon) > 0 || r.after > 0 {
				t.Errorf("got %d accepted %v later, and %d after a refusal, want none", r.later(soon), soon, r.after)
			}
		})
	}
	t.Run(noBus, func(t *testing.T) {
		n, ttl := testkit.Scale(20, 1000), testkit.Scale(500*time.Millisecond, 2*time.Second)
		c := newCluster(t, sharedServers(t), 3, setup{Bus: noBus, CacheTTL: ttl})
		r := c.revokeAll(n, 10*time.Second)
		t.Logf("C-04 | no bus, CacheTTL %v | %d revokes, 3 processes | from its return: %s | accepted later than CacheTTL: %d | accepted after a refusal: %d",
			ttl, n, spread(r.fromEnd), r.later(ttl), r.after)
		if r.later(ttl) > 0 || r.after > 0 {
			t.Errorf("got %d accepted after CacheTTL, and %d after a refusal, want none", r.later(ttl), r.after)
		}
	})
}

// revocations hold how long revoked keys were accepted.
type revocations struct {
	fromBegin, fromEnd []time.Duration // from the begin or end of Revoke until the last process has refused the key
	accepted           []time.Duration // from the end of Revoke to the start of the last accepted validation
	after              int64
}

// later counts the keys that were accepted for longer than the given time.
func (r *revocations) later(than time.Duration) (n int) {
	for _, d := range r.accepted {
		if d > than {
			n++
		}
	}
	return n
}

// revokeAll revokes keys through each instance in turn while all instances validate them.
func (c *cluster) revokeAll(n int, wait time.Duration) *revocations {
	c.Helper()
	r := &revocations{}
	const some = 200 // keys at a time, since each instance validates all of them in turn
	for ; n > 0; n -= some {
		keys := c.create(c.members[0], min(n, some))
		for _, m := range c.members {
			m.watch("revoke", 300*time.Microsecond, keys)
		}
		ended := make([]done, len(keys))
		for i, k := range keys {
			ended[i] = c.members[i%len(c.members)].do("revoke", k, accepted)
		}
		for who, m := range c.members {
			r.add(c, who, m.watched("revoke", wait), ended)
		}
	}
	return r
}

// add merges the results of one instance. For each key, the last instance counts.
func (r *revocations) add(c *cluster, who int, seen []watchedToken, ended []done) {
	c.Helper()
	base := len(r.fromEnd)
	if who > 0 {
		base -= len(ended)
	} else {
		r.fromEnd = append(r.fromEnd, make([]time.Duration, len(ended))...)
		r.fromBegin = append(r.fromBegin, make([]time.Duration, len(ended))...)
		r.accepted = append(r.accepted, make([]time.Duration, len(ended))...)
	}
	for i, s := range seen {
		if s.Refused == 0 || s.Wrong > 0 || s.Accepted == 0 {
			c.Fatalf("instance %d did not refuse key %d as revoked after accepting it: %+v", who, i, s)
		}
		d := ended[i]
		if own := i%len(c.members) == who; own && s.LastAccepted > d.End {
			c.Errorf("the instance that revoked key %d accepted it %v later", i, time.Duration(s.LastAccepted-d.End))
		}
		r.fromBegin[base+i] = max(r.fromBegin[base+i], time.Duration(s.Refused-d.Begin))
		r.fromEnd[base+i] = max(r.fromEnd[base+i], time.Duration(s.Refused-d.End))
		r.accepted[base+i] = max(r.accepted[base+i], time.Duration(s.LastAccepted-d.End))
		r.after += s.After
	}
}
