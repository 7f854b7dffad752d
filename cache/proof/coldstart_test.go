package proof_test

import (
	"testing"
	"time"
)

// An instance that starts beside others finds in the second level what they
// have in use.
func TestColdStart(t *testing.T) {
	n := count(2000, 100_000)
	s := sharedServers(t)
	makers := newCluster(t, s, 1, setup{Bus: noBus})
	all := tokens(makers.create(makers.members[0], n))
	for _, level := range []bool{false, true} {
		name := "without a second level"
		if level {
			name = "with a second level"
		}
		t.Run(name, func(t *testing.T) {
			c := newCluster(t, s, 3, setup{DSN: makers.base.DSN, Bus: redisBus, Level: level, CacheTTL: 10 * time.Minute})
			for _, m := range c.members {
				m.validateAll(all)
			}
			began := time.Now()
			c.grow(1)
			ready := time.Since(began)
			took, reads := c.members[3].validateAll(all)
			t.Logf("cold start %s | %d keys in use | started in %s | each validated once, 16 at a time: %s | look-ups of the store: %d", name, n, short(ready), short(took), reads)
			if level && reads > int64(n/20) {
				t.Errorf("got %d look-ups of the store, want hardly any", reads)
			}
			if !level && reads != int64(n) {
				t.Errorf("got %d look-ups of the store, want %d", reads, n)
			}
		})
	}
}

// validateAll demands that all are accepted.
func (m *member) validateAll(all []string) (took time.Duration, reads int64) {
	m.Helper()
	before := ask[status](m, m.instance, "status", struct{}{}).Reads
	began := time.Now()
	for i, answer := range ask[[]string](m, m.instance, "answers", all) {
		if answer != accepted {
			m.Fatalf("key %d: got %q, want %q", i, answer, accepted)
		}
	}
	took = time.Since(began)
	return took, ask[status](m, m.instance, "status", struct{}{}).Reads - before
}
