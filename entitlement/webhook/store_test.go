package webhook_test

import (
	"bytes"
	"context"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/keyhatch/keyhatch/entitlement"
)

// A memStore is a Store in memory. before is called at the start of each method.
type memStore struct {
	mu        sync.Mutex
	rows      map[string]any // each an entitlement.Subscription or an entitlement.Hold
	processed map[string]time.Time
	rejected  map[string]rejection
	calls     []string
	before    func(ctx context.Context, method string) error
}

type rejection struct {
	reason string
	body   []byte
}

func newStore() *memStore {
	return &memStore{rows: map[string]any{}, processed: map[string]time.Time{}, rejected: map[string]rejection{}}
}

func (m *memStore) call(ctx context.Context, method string) error {
	m.mu.Lock()
	m.calls = append(m.calls, method)
	m.mu.Unlock()
	if m.before != nil {
		if err := m.before(ctx, method); err != nil {
			return err
		}
	}
	return ctx.Err()
}

func (m *memStore) Put(ctx context.Context, s entitlement.Subscription) (bool, error) {
	if err := m.call(ctx, "Put"); err != nil {
		return false, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	old, ok := m.rows[s.Owner+" "+s.ID].(entitlement.Subscription)
	if ok && !s.Newer(old) {
		return false, nil
	}
	m.rows[s.Owner+" "+s.ID] = s
	return true, nil
}

func (m *memStore) PutHold(ctx context.Context, h entitlement.Hold) (bool, error) {
	if err := m.call(ctx, "PutHold"); err != nil {
		return false, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	old, ok := m.rows[h.Owner+" "+h.ID].(entitlement.Hold)
	if ok && !h.Newer(old) {
		return false, nil
	}
	m.rows[h.Owner+" "+h.ID] = h
	return true, nil
}

func (m *memStore) IsProcessed(ctx context.Context, event string) (bool, error) {
	if err := m.call(ctx, "IsProcessed"); err != nil {
		return false, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	_, ok := m.processed[event]
	return ok, nil
}

func (m *memStore) MarkProcessed(ctx context.Context, event string, at time.Time) error {
	if err := m.call(ctx, "MarkProcessed"); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.processed[event] = at
	return nil
}

func (m *memStore) SaveRejected(ctx context.Context, event string, _ time.Time, reason string, body []byte) error {
	if err := m.call(ctx, "SaveRejected"); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.rejected[event] = rejection{reason, bytes.Clone(body)}
	return nil
}

// only returns the store's only row.
func only[T any](t *testing.T, m *memStore) T {
	t.Helper()
	if len(m.rows) != 1 {
		t.Fatalf("got %d rows, want one; rows: %v", len(m.rows), m.rows)
	}
	row := slices.Collect(maps.Values(m.rows))[0]
	r, ok := row.(T)
	if !ok {
		t.Fatalf("got %+v, want a %T", row, r)
	}
	return r
}

func (m *memStore) onlyRow(t *testing.T) entitlement.Subscription {
	t.Helper()
	return only[entitlement.Subscription](t, m)
}

func ownerOf(row any) string {
	if h, ok := row.(entitlement.Hold); ok {
		return h.Owner
	}
	return row.(entitlement.Subscription).Owner
}

// entitlement returns the owner's entitlement.
func (m *memStore) entitlement(t *testing.T, owner string, at time.Time) entitlement.Entitlement {
	t.Helper()
	var all []entitlement.Subscription
	var holds []entitlement.Hold
	for _, row := range m.rows {
		if ownerOf(row) != owner {
			continue
		}
		switch row := row.(type) {
		case entitlement.Subscription:
			all = append(all, row)
		case entitlement.Hold:
			holds = append(holds, row)
		}
	}
	e, err := catalog.Resolve(all, holds, entitlement.Override{}, at)
	if err != nil {
		t.Fatal(err)
	}
	return e
}
