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

// A memTable is a Table in memory. before is called at the start of each method.
type memTable struct {
	mu      sync.Mutex
	rows    map[string]entitlement.Subscription
	seen    map[string]time.Time
	refused map[string]refusal
	calls   []string
	before  func(ctx context.Context, method string) error
}

type refusal struct {
	reason string
	body   []byte
}

func newTable() *memTable {
	return &memTable{rows: map[string]entitlement.Subscription{}, seen: map[string]time.Time{}, refused: map[string]refusal{}}
}

func (m *memTable) call(ctx context.Context, method string) error {
	m.mu.Lock()
	m.calls = append(m.calls, method)
	m.mu.Unlock()
	if m.before != nil {
		return m.before(ctx, method)
	}
	return nil
}

func (m *memTable) Put(ctx context.Context, s entitlement.Subscription) (bool, error) {
	if err := m.call(ctx, "Put"); err != nil {
		return false, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	old, ok := m.rows[s.Owner+" "+s.ID]
	if ok && !s.Newer(old) {
		return false, nil
	}
	m.rows[s.Owner+" "+s.ID] = s
	return true, nil
}

func (m *memTable) Seen(ctx context.Context, event string) (bool, error) {
	if err := m.call(ctx, "Seen"); err != nil {
		return false, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	_, ok := m.seen[event]
	return ok, nil
}

func (m *memTable) MarkProcessed(ctx context.Context, event string, at time.Time) error {
	if err := m.call(ctx, "MarkProcessed"); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.seen[event] = at
	return nil
}

func (m *memTable) SaveRejected(ctx context.Context, event string, _ time.Time, reason string, body []byte) error {
	if err := m.call(ctx, "SaveRejected"); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.refused[event] = refusal{reason, bytes.Clone(body)}
	return nil
}

// only returns the table's only row.
func (m *memTable) only(t *testing.T) entitlement.Subscription {
	t.Helper()
	if len(m.rows) != 1 {
		t.Fatalf("got %d rows, want one: %v", len(m.rows), m.rows)
	}
	return slices.Collect(maps.Values(m.rows))[0]
}

// grants returns the owner's entitlement.
func (m *memTable) grants(t *testing.T, owner string, at time.Time) entitlement.Entitlement {
	t.Helper()
	var all []entitlement.Subscription
	for _, s := range m.rows {
		if s.Owner == owner {
			all = append(all, s)
		}
	}
	e, err := catalog.Resolve(all, entitlement.Override{}, at)
	if err != nil {
		t.Fatal(err)
	}
	return e
}
