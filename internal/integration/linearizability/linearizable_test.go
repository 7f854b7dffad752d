package linearizability_test

import (
	"context"
	"maps"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/keyhatch/keyhatch/apikey"
	"github.com/keyhatch/keyhatch/internal/testkit"
	"github.com/keyhatch/keyhatch/store"
)

// checkTime bounds the check of one family's history. It takes milliseconds if the history is
// linearizable, and may not end otherwise.
const checkTime = 30 * time.Second

// notLinearizable returns the first history that is not linearizable, or whose check timed
// out, or nil.
func notLinearizable(histories [][]porcupine.Operation) ([]porcupine.Operation, porcupine.CheckResult) {
	for _, h := range histories {
		if result := porcupine.CheckOperationsTimeout(model, h, checkTime); result != porcupine.Ok {
			return h, result
		}
	}
	return nil, porcupine.Ok
}

// Invariant 2, C-02: concurrent calls to the Manager return the same results as some
// sequence of the calls.
func TestLinearizable(t *testing.T) {
	n, size := testkit.Scale(5, 50), 10_000
	began := time.Now()
	var checking time.Duration
	counts := map[string]int{}
	for i := range n {
		histories := record(t, realManager{newManager(t, newSlowStore())}, size)
		recorded := time.Now()
		if bad, result := notLinearizable(histories); bad != nil {
			t.Fatalf("history %d of %d: no order of the calls explains the results (%v):%s", i+1, n, result, transcript(bad))
		}
		checking += time.Since(recorded)
		tally(counts, histories)
	}
	t.Logf("%d histories of %d operations by %d clients, all linearizable, in %v, %v of it checking: %v",
		n, size, clients, time.Since(began).Round(time.Millisecond), checking.Round(time.Millisecond), counts)
	for _, must := range []string{
		"create: active", "validate: active", "disable: disabled", "enable: active", "revoke", "rotate: active",
		"validate: " + apikey.ErrUnknown.Error(), "validate: " + apikey.ErrDisabled.Error(), "validate: " + apikey.ErrRevoked.Error(),
		"disable: " + apikey.ErrConflict.Error(), "rotate: " + apikey.ErrConflict.Error(),
	} {
		if counts[must] == 0 {
			t.Errorf("no history contains %q, so it was not tested", must)
		}
	}
}

// tally counts the results, so that a run shows which results it has tested.
func tally(counts map[string]int, histories [][]porcupine.Operation) {
	for _, h := range histories {
		for _, o := range h {
			c, a := o.Input.(call), o.Output.(answer)
			what := c.op.String()
			if a.err != nil || a.state == active || a.state == disabled {
				what += ": " + a.String()
			}
			counts[what]++
		}
	}
}

// C-03: the check detects a naive cache, which is filled after the load and invalidated after
// the write.
func TestLinearizableCatchesNaiveCache(t *testing.T) {
	const most, size = 20, 10_000
	for i := range most {
		st := newSlowStore()
		naive := &naiveManager{Manager: newManager(t, st), store: st, cache: map[store.Digest]apikey.Key{}}
		if bad, result := notLinearizable(record(t, naive, size)); bad != nil {
			t.Logf("the naive cache was detected (%v) in history %d of %d operations", result, i+1, size)
			return
		}
	}
	t.Errorf("a cache without a fence passed %d histories of %d operations, so the check detects nothing", most, size)
}

// A naiveManager is a Manager with a simple cache, without a fence.
type naiveManager struct {
	*apikey.Manager
	store store.Store

	mu    sync.Mutex
	cache map[store.Digest]apikey.Key
}

func (m *naiveManager) identify(ctx context.Context, token string) (apikey.Key, error) {
	d := apikey.DigestOf(token)
	m.mu.Lock()
	k, ok := m.cache[d]
	m.mu.Unlock()
	if !ok {
		r, err := m.store.Lookup(ctx, d)
		if err != nil {
			return apikey.Key{}, apikey.ErrUnknown
		}
		k = apikey.Key{ID: r.ID, Owner: r.Owner, DisabledAt: r.DisabledAt, RevokedAt: r.RevokedAt}
		m.mu.Lock()
		m.cache[d] = k
		m.mu.Unlock()
	}
	switch k.Status(time.Now()) {
	case apikey.StatusRevoked:
		return apikey.Key{}, apikey.ErrRevoked
	case apikey.StatusDisabled:
		return apikey.Key{}, apikey.ErrDisabled
	}
	return k, nil
}

func (m *naiveManager) drop(owner string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	maps.DeleteFunc(m.cache, func(_ store.Digest, k apikey.Key) bool { return k.Owner == owner })
}

func (m *naiveManager) Update(ctx context.Context, owner, id string, p apikey.UpdateParams) (apikey.Key, error) {
	defer m.drop(owner)
	return m.Manager.Update(ctx, owner, id, p)
}

func (m *naiveManager) Revoke(ctx context.Context, owner, id, reason string) (apikey.Key, error) {
	defer m.drop(owner)
	return m.Manager.Revoke(ctx, owner, id, reason)
}

func (m *naiveManager) RevokeAll(ctx context.Context, owner, reason string) (int, error) {
	defer m.drop(owner)
	return m.Manager.RevokeAll(ctx, owner, reason)
}

func (m *naiveManager) Rotate(ctx context.Context, owner, id string, grace time.Duration) (apikey.Issued, error) {
	defer m.drop(owner)
	return m.Manager.Rotate(ctx, owner, id, grace)
}
