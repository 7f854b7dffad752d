package webhook_test

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/keyhatch/keyhatch/entitlement"
	"github.com/keyhatch/keyhatch/internal/text"
)

// A memStore is a Store in memory, with the rules of a sqlprovider. before is called at the
// start of each method.
type memStore struct {
	mu       sync.Mutex
	rows     map[rowID]any // a Subscription, Payment, Charge or Reversal of package entitlement
	moved    map[string]bool
	rejected map[string]rejection // by the event's ID
	reports  []entitlement.Report // of all calls of Apply
	calls    []string
	before   func(ctx context.Context, method string) error
}

type rowID struct{ kind, id string }

type rejection struct {
	reason string
	body   []byte
}

func newStore() *memStore {
	return &memStore{rows: map[rowID]any{}, moved: map[string]bool{}, rejected: map[string]rejection{}}
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

func (m *memStore) Apply(ctx context.Context, r entitlement.Report) (applied entitlement.Applied, err error) {
	if err := m.call(ctx, "Apply"); err != nil {
		return applied, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.reports = append(m.reports, r)
	if r.Source == "" || text.Check(r.Event, text.MaxID) != nil {
		return applied, refuse("Source", "is empty, or the event's ID is malformed")
	}
	if s := r.Subscription; s != nil {
		err = m.applySubscription(*s, r, &applied)
	}
	if p := r.Payment; p != nil && err == nil {
		err = m.applyPayment(*p, r, &applied)
	}
	if c := r.Charge; c != nil && err == nil {
		row := *c
		row.Source = r.Source
		m.put(rowID{"charge", c.ID}, row, &applied)
	}
	if v := r.Reversal; v != nil && err == nil {
		err = m.applyReversal(*v, r, &applied)
	}
	if err == nil {
		delete(m.rejected, r.Event)
	}
	return applied, err
}

func refuse(field, reason string) error {
	return &entitlement.InvalidError{Field: field, Err: errors.New(reason)}
}

func (m *memStore) applySubscription(s entitlement.Subscription, r entitlement.Report, applied *entitlement.Applied) (err error) {
	s.Source = r.Source
	for _, t := range []*time.Time{&s.StartedAt, &s.PeriodStart, &s.PeriodEnd} {
		*t = t.UTC() // so that == compares them
	}
	id := rowID{"subscription", s.ID}
	old, isStored := m.rows[id].(entitlement.Subscription)
	isOlder := isStored && !s.Newer(old)
	if s.Owner, err = m.ownerOf(s, r.Owners); err != nil && !isOlder {
		return err
	}
	switch {
	case isOlder:
		s.Owner = old.Owner
	case text.CheckID(s.Owner) != nil && (s.Owner != "" || s.Status != ended):
		return refuse("Owner", "is malformed")
	case !s.PeriodEnd.IsZero() && s.PeriodEnd.Before(s.PeriodStart):
		return refuse("PeriodEnd", "is before PeriodStart")
	case isStored && s.Customer != "" && s.Customer != old.Customer:
		return refuse("Customer", "is another one")
	}
	if s.Customer = cmp.Or(s.Customer, old.Customer); s.UpdatedAt.IsZero() {
		return refuse("UpdatedAt", "is zero")
	}
	if isStored && r.Snapshot && isSame(s, old) {
		s = old
	}
	m.put(id, s, applied)
	return nil
}

// isSame reports whether two states of a subscription say the same.
func isSame(s, old entitlement.Subscription) bool {
	s.UpdatedAt, s.Version = old.UpdatedAt, old.Version
	return s == old
}

// ownerOf returns the owner who has the subscription after a report: the stored one, or the
// one that the report names, or the owner of the customer's other subscriptions.
func (m *memStore) ownerOf(s entitlement.Subscription, further []string) (string, error) {
	named := slices.DeleteFunc(append([]string{s.Owner}, further...), func(o string) bool { return o == "" })
	slices.Sort(named)
	named = slices.Compact(named)
	stored, isStored := m.rows[rowID{"subscription", s.ID}].(entitlement.Subscription)
	isStored = isStored && stored.Owner != ""
	switch {
	case isStored && (m.moved[s.ID] || s.Status == ended || len(named) == 0 || slices.Equal(named, []string{stored.Owner})):
		return stored.Owner, nil
	case len(named) > 1:
		return "", refuse("Owner", fmt.Sprintf("the event names several owners: %q", named))
	case isStored:
		return "", refuse("Owner", "the event names another owner")
	case len(named) == 0:
		owner, err := m.ownerOfCustomer(s.Customer)
		if s.Status == ended { // it grants nothing, and the owner may be named later
			err = nil
		}
		return owner, err
	}
	return named[0], nil
}

// ownerOfCustomer returns the only owner of the customer's subscriptions.
func (m *memStore) ownerOfCustomer(customer string) (owner string, err error) {
	for _, row := range m.rows {
		s, ok := row.(entitlement.Subscription)
		switch {
		case !ok || customer == "" || s.Customer != customer || s.Owner == "":
		case owner != "" && owner != s.Owner:
			return "", refuse("Owner", "is unknown: the customer's subscriptions have several")
		default:
			owner = s.Owner
		}
	}
	if owner == "" {
		return "", refuse("Owner", "is unknown")
	}
	return owner, nil
}

func (m *memStore) applyPayment(p entitlement.Payment, r entitlement.Report, applied *entitlement.Applied) error {
	switch {
	case p.ID == "" || p.Subscription == "":
		return refuse("ID", "is empty")
	case !isCurrency(p.Currency):
		return refuse("Currency", "must be three lower-case letters")
	case !p.PeriodEnd.IsZero() && p.PeriodEnd.Before(p.PeriodStart):
		return refuse("PeriodEnd", "is before PeriodStart")
	}
	p.Source = r.Source
	m.put(rowID{"payment", p.ID}, p, applied)
	return nil
}

func (m *memStore) applyReversal(v entitlement.Reversal, r entitlement.Report, applied *entitlement.Applied) error {
	p, isPaid := m.rows[rowID{"payment", m.paymentOf(v)}].(entitlement.Payment)
	counts := v.Kind == entitlement.Refund && !v.Whole && !v.Released
	switch {
	case v.ID == "" || (v.Payment == "") == (v.Charge == ""):
		return refuse("ID", "is empty, or it is not exactly one of the IDs of a payment and a charge")
	case counts && (!isCurrency(v.Currency) || isPaid && p.Currency != v.Currency):
		return refuse("Currency", "is not the payment's")
	}
	v.Source = r.Source
	m.put(rowID{string(v.Kind), v.ID}, v, applied)
	return nil
}

func isCurrency(s string) bool {
	return len(s) == 3 && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz") == ""
}

// paymentOf returns the ID of the payment that is taken back, as far as it is known.
func (m *memStore) paymentOf(v entitlement.Reversal) string {
	c, _ := m.rows[rowID{"charge", v.Charge}].(entitlement.Charge)
	return cmp.Or(v.Payment, c.Payment)
}

// put stores a row unless the stored one is as new or newer.
func (m *memStore) put(id rowID, row any, applied *entitlement.Applied) {
	if old, ok := m.rows[id]; !ok || compareAge(row, old) > 0 {
		m.rows[id] = row
		applied.Changed = true
	}
	s, ok := m.rows[rowID{"subscription", m.subscriptionOf(m.rows[id])}].(entitlement.Subscription)
	applied.Incomplete = applied.Incomplete || !ok
	if ok && s.Owner != "" && !slices.Contains(applied.Owners, s.Owner) {
		applied.Owners = append(applied.Owners, s.Owner)
	}
}

// subscriptionOf returns the ID of the subscription to which a row belongs, or "".
func (m *memStore) subscriptionOf(row any) string {
	switch row := row.(type) {
	case entitlement.Subscription:
		return row.ID
	case entitlement.Payment:
		return row.Subscription
	case entitlement.Charge:
		return m.subscriptionOf(m.rows[rowID{"payment", row.Payment}])
	case entitlement.Reversal:
		return m.subscriptionOf(m.rows[rowID{"payment", m.paymentOf(row)}])
	}
	return ""
}

func compareAge(a, b any) int {
	t, v := ageOf(a)
	u, w := ageOf(b)
	return cmp.Or(t.Compare(u), cmp.Compare(v, w))
}

func ageOf(row any) (updated time.Time, version int64) {
	switch row := row.(type) {
	case entitlement.Subscription:
		return row.UpdatedAt, row.Version
	case entitlement.Payment:
		return row.UpdatedAt, row.Version
	case entitlement.Charge:
		return row.UpdatedAt, 0
	case entitlement.Reversal:
		return row.UpdatedAt, row.Version
	}
	panic(fmt.Sprintf("unknown row %T", row))
}

func (m *memStore) SetOwner(ctx context.Context, source, subscription, owner string) (previous string, err error) {
	if err := m.call(ctx, "SetOwner"); err != nil {
		return "", err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	id := rowID{"subscription", subscription}
	s, ok := m.rows[id].(entitlement.Subscription)
	if !ok || s.Source != source || text.CheckID(owner) != nil {
		return "", refuse("subscription", "is not reported, or the owner is malformed")
	}
	previous, s.Owner = s.Owner, owner
	m.rows[id], m.moved[subscription] = s, true
	return previous, nil
}

func (m *memStore) Subscriptions(ctx context.Context, source, after string, limit int) (all []entitlement.Subscription, err error) {
	if err := m.call(ctx, "Subscriptions"); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, row := range m.rows {
		if s, ok := row.(entitlement.Subscription); ok && s.Source == source && s.ID > after {
			all = append(all, s)
		}
	}
	slices.SortFunc(all, func(a, b entitlement.Subscription) int { return cmp.Compare(a.ID, b.ID) })
	return all[:min(limit, len(all))], nil
}

func (m *memStore) SaveRejected(ctx context.Context, source, event string, _ time.Time, reason string, body []byte) error {
	if err := m.call(ctx, "SaveRejected"); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if source == "" || text.CheckID(event) != nil {
		return refuse("Event", "is malformed")
	}
	m.rejected[event] = rejection{reason, bytes.Clone(body)}
	return nil
}

// only returns the store's only row.
func only[T any](t *testing.T, m *memStore) (row T) {
	t.Helper()
	if len(m.rows) != 1 {
		t.Fatalf("got %d rows, want one; rows: %v", len(m.rows), m.rows)
	}
	for _, one := range m.rows {
		r, ok := one.(T)
		if !ok {
			t.Fatalf("got %+v, want a %T", one, row)
		}
		row = r
	}
	return row
}

func (m *memStore) onlyRow(t *testing.T) entitlement.Subscription {
	t.Helper()
	return only[entitlement.Subscription](t, m)
}

// purchases returns what the owner has bought.
func (m *memStore) purchases(owner string) (bought entitlement.Purchases) {
	for _, row := range m.rows {
		s, ok := m.rows[rowID{"subscription", m.subscriptionOf(row)}].(entitlement.Subscription)
		if !ok || s.Owner != owner {
			continue
		}
		switch row := row.(type) {
		case entitlement.Subscription:
			bought.Subscriptions = append(bought.Subscriptions, row)
		case entitlement.Payment:
			bought.Payments = append(bought.Payments, row)
		case entitlement.Reversal:
			row.Payment, row.Charge = m.paymentOf(row), ""
			bought.Reversals = append(bought.Reversals, row)
		}
	}
	return bought
}

// planAt returns the plan that the owner has at the time, or "" without access.
func (m *memStore) planAt(t *testing.T, owner, at string) string {
	t.Helper()
	e, err := catalog.Resolve(m.purchases(owner), parseTime(at))
	switch {
	case err != nil && !errors.Is(err, entitlement.ErrNone):
		t.Fatal(err)
	case err == nil && e.Active(parseTime(at)):
		return e.Plan
	}
	return ""
}
