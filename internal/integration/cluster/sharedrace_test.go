package cluster_test

import (
	"testing"
	"time"

	"github.com/keyhatch/keyhatch/internal/testkit"
)

// If an instance is stopped after it has read a key from the store, and the key is revoked
// meanwhile, the instance does not put the old record into the shared cache. An instance
// that starts afterwards does not find it there. The same holds if the shared cache was
// flushed.
func TestLateFillOfSharedCache(t *testing.T) {
	for _, flush := range []bool{false, true} {
		name := "revoked meanwhile"
		if flush {
			name = "revoked and flushed meanwhile"
		}
		t.Run(name, func(t *testing.T) {
			s := sharedServers(t)
			if flush {
				s.cache = testkit.StartRedis(t)
				s.redis = s.cache.DSN()
			}
			// The instance that fills the shared cache has no bus, so its own cache
			// may be stale. A load may take long here.
			c := newCluster(t, s, 3, setup{Bus: noBus, Shared: true, CallTimeout: 30 * time.Second})
			l := &lateFill{cluster: c, slow: c.members[0], revoker: c.members[1], fresh: c.members[2]}
			n := testkit.Scale(10, 300)
			for range n {
				l.round(flush)
			}
			t.Logf("shared cache race | %s | %d rounds | accepted afterwards by another instance: %d | its look-ups in the store: %d", name, n, l.accepted, l.reads)
			if l.accepted > 0 {
				t.Errorf("revoked keys that another instance accepted: got %d, want 0", l.accepted)
			}
		})
	}
}

type lateFill struct {
	*cluster
	slow, revoker, fresh *member
	accepted             int
	reads                int64
}

func (l *lateFill) round(flush bool) {
	l.Helper()
	k := l.create(l.revoker, 1)[0]
	ask[struct{}](l, l.slow.instance, "pause", struct{}{})
	validated := make(chan error, 1)
	var d done
	go func() { validated <- l.slow.call("validate", k.op, &d) }()
	ask[struct{}](l, l.slow.instance, "paused", struct{}{})
	if err := l.slow.stop(); err != nil {
		l.Fatal(err)
	}
	l.revoker.do("revoke", k, accepted)
	if flush {
		l.redisDoes(l, "FLUSHALL")
	}
	if _, err := l.slow.resume(); err != nil {
		l.Fatal(err)
	}
	ask[struct{}](l, l.slow.instance, "resume", struct{}{})
	if err := <-validated; err != nil {
		l.Fatal(err)
	}
	if d.Answer != accepted {
		l.Fatalf("the look-up from before the revocation: got %q, want %q", d.Answer, accepted)
	}
	l.freshlyRefused(k)
}

func (l *lateFill) freshlyRefused(k key) {
	l.Helper()
	before := ask[status](l, l.fresh.instance, "status", struct{}{}).Reads
	switch d := ask[done](l, l.fresh.instance, "validate", k.op); d.Answer {
	case revoked:
	case accepted:
		l.accepted++
	default:
		l.Fatalf("got %q, want %q", d.Answer, revoked)
	}
	l.reads += ask[status](l, l.fresh.instance, "status", struct{}{}).Reads - before
}
