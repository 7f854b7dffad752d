package webhook_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/keyhatch/keyhatch/entitlement"
	"github.com/keyhatch/keyhatch/entitlement/webhook"
)

// onlyRejected returns the only rejected event and its ID.
func (m *memStore) onlyRejected(t *testing.T) (id string, r rejection) {
	t.Helper()
	if len(m.rejected) != 1 {
		t.Fatalf("got the rejected events %v, want one", m.rejected)
	}
	for id, r = range m.rejected {
	}
	return id, r
}

// E-02: a rejected event whose cause was fixed is processed by Replay. Until then, it stays
// saved, with the new reason.
func TestReplay(t *testing.T) {
	t.Parallel()
	for _, s := range systems {
		st := newStore()
		broken, err := webhook.New(st, s.source(secret), catalog, map[string]string{"another": "pro"}, nil)
		if err != nil {
			t.Fatal(err)
		}
		s.checkDelivery(t, broken, "purchase", 422)
		id, saved := st.onlyRejected(t)
		st.rejected = map[string]rejection{} // Replay saves it again
		if err := broken.Replay(t.Context(), "", id, saved.body); err == nil || !strings.Contains(err.Error(), "no plan") || len(st.rows) > 0 {
			t.Errorf("%s: before the cause was fixed: got %v and %v, want the reason", s.name, err, st.rows)
		}
		if again, r := st.onlyRejected(t); again != id || string(r.body) != string(saved.body) || r.reason != saved.reason {
			t.Errorf("%s: got %s with the reason %q saved, want %s", s.name, again, r.reason, id)
		}
		told := ""
		fixed := s.handler(t, st, &webhook.Options{Changed: func(_ context.Context, owner string) error { told = owner; return nil }})
		if err := fixed.Replay(t.Context(), "", id, saved.body); err != nil || st.onlyRow(t).Plan != "pro" || len(st.rejected) > 0 || told != owner {
			t.Errorf("%s: after the cause was fixed: got %v, %v, %d rejected events and Changed of %q", s.name, err, st.rows, len(st.rejected), told)
		}
	}
}

// E-02: a saved event of another source is refused, and saves no second row.
func TestReplayOfAnotherSource(t *testing.T) {
	t.Parallel()
	st := newStore()
	body := loadPayload(t, polar, "purchase")
	var invalid *entitlement.InvalidError
	err := stripe.handler(t, st, nil).Replay(t.Context(), "polar", "e", body)
	if !errors.As(err, &invalid) || invalid.Field != "Source" || !strings.Contains(err.Error(), `"polar"`) || len(st.calls) > 0 {
		t.Errorf("got %v and the calls %v, want an InvalidError of the Source and no call", err, st.calls)
	}
	for _, source := range []string{"", "polar"} {
		if err := polar.handler(t, newStore(), nil).Replay(t.Context(), source, "e", body); err != nil {
			t.Errorf("the source %q: %v", source, err)
		}
	}
}

// E-02: a report of another source is not treated as one of the Handler's source.
func TestReconcileOfAnotherSource(t *testing.T) {
	t.Parallel()
	now := time.Now()
	for source, want := range map[string]int{"": 1, "stripe": 1, "polar": 0} {
		for name, r := range map[string]entitlement.Report{
			"report":       {Source: source, Charge: &entitlement.Charge{ID: "pi_1", Payment: "in_1", UpdatedAt: now}},
			"subscription": {Subscription: &entitlement.Subscription{Source: source, ID: "sub_1", Owner: owner, Plan: "pro", Status: active, UpdatedAt: now}},
			"payment":      {Payment: &entitlement.Payment{Source: source, ID: "in_1", Subscription: "sub_1", Currency: "usd", UpdatedAt: now}},
			"charge":       {Charge: &entitlement.Charge{Source: source, ID: "pi_1", Payment: "in_1", UpdatedAt: now}},
			"reversal":     {Reversal: &entitlement.Reversal{Source: source, ID: "re_1", Kind: entitlement.Dispute, Payment: "in_1", UpdatedAt: now}},
		} {
			st := newStore()
			got, err := stripe.handler(t, st, nil).Reconcile(t.Context(), func(yield func(entitlement.Report, error) bool) { yield(r, nil) })
			var invalid *entitlement.InvalidError
			if err != nil || got.Changed != want || len(got.Rejected) != 1-want || len(st.rows) != want {
				t.Errorf("%s of the source %q: got %+v, %v, rows %v, want %d stored", name, source, got, err, st.rows, want)
			}
			if want == 0 && !errors.As(errors.Join(got.Rejected...), &invalid) {
				t.Errorf("%s of the source %q: got %v, want an InvalidError", name, source, got.Rejected)
			}
		}
	}
}

// A state that Refetch returns, and a report of a custom source, must not be of another source.
func TestFunctionsOfAnotherSource(t *testing.T) {
	t.Parallel()
	st := newStore()
	h := stripe.handler(t, st, &webhook.Options{Refetch: func(context.Context, webhook.Event) (entitlement.Subscription, error) {
		return entitlement.Subscription{Source: "polar", Plan: "pro", Status: active}, nil
	}})
	stripe.checkDelivery(t, h, "purchase", 422)
	custom := webhook.Custom("crm", func(http.Header, []byte) (string, error) { return "e", nil }, func(string, []byte) (entitlement.Report, error) {
		return entitlement.Report{Source: "stripe", Charge: &entitlement.Charge{ID: "pi_1", Payment: "in_1"}}, nil
	})
	h, err := webhook.New(st, custom, catalog, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := serve(h, httptest.NewRequest("POST", "/", strings.NewReader("{}"))).Code; got != 422 || len(st.rows) > 0 || len(st.rejected) != 2 {
		t.Errorf("got %d, rows %v and rejected events %v, want 422 and both rejected", got, st.rows, st.rejected)
	}
}

// A body that is not an event is saved under a hash, and saved again under the same.
func TestReplayOfMalformedEvent(t *testing.T) {
	t.Parallel()
	st := newStore()
	h := stripe.handler(t, st, nil)
	if got := stripe.deliver(h, "", []byte(`{}`)); got != 422 {
		t.Fatalf("got %d, want 422", got)
	}
	id, saved := st.onlyRejected(t)
	if err := h.Replay(t.Context(), "", id, saved.body); err == nil || !strings.HasPrefix(id, "sha256:") {
		t.Errorf("%s: got %v, want an error", id, err)
	}
	if again, _ := st.onlyRejected(t); again != id {
		t.Errorf("got the ID %s, want %s", again, id)
	}
}

// An event of a custom source with an ID that cannot be stored is rejected and saved under
// a hash, so that it is not sent again forever.
func TestMalformedEventID(t *testing.T) {
	t.Parallel()
	for _, id := range []string{"a\x00", strings.Repeat("a", 256)} {
		st := newStore()
		verify := func(http.Header, []byte) (string, error) { return id, nil }
		h, err := webhook.New(st, webhook.Custom("invoices", verify, parseInvoice), catalog, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		body := `{"contract": "c_1", "account": "ann", "plan": "team", "at": "2027-01-01T09:00:00Z"}`
		got := serve(h, httptest.NewRequest("POST", "/", strings.NewReader(body))).Code
		if saved, _ := st.onlyRejected(t); got != 422 || !strings.HasPrefix(saved, "sha256:") {
			t.Errorf("%.9q: got %d, saved as %q, want 422 and a hash", id, got, saved)
		}
	}
}

// An event that does not concern plans any more is not kept.
func TestReplayOfIgnoredEvent(t *testing.T) {
	t.Parallel()
	st := newStore()
	broken, err := webhook.New(st, stripe.source(secret), catalog, map[string]string{"another": "pro"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	stripe.checkDelivery(t, broken, "purchase", 422)
	id, saved := st.onlyRejected(t)
	h := stripe.handler(t, st, &webhook.Options{Ignore: func(context.Context, webhook.Event) (bool, error) { return true, nil }})
	if err := h.Replay(t.Context(), "", id, saved.body); err != nil || len(st.rejected) > 0 || len(st.rows) > 0 {
		t.Errorf("got %v, rejected %v, rows %v, want nothing kept", err, st.rejected, st.rows)
	}
}

// Replay returns an error if the store fails or the host's code panics.
func TestReplayFails(t *testing.T) {
	t.Parallel()
	body := loadPayload(t, stripe, "purchase")
	for how, fail := range map[string]func() error{"down": func() error { return errors.New("down") }, "panic": func() error { panic("down") }} {
		st := newStore()
		st.before = func(context.Context, string) error { return fail() }
		if err := stripe.handler(t, st, nil).Replay(t.Context(), "", "e", body); err == nil || !strings.Contains(err.Error(), how) || len(st.rows) > 0 {
			t.Errorf("%s: got %v, want an error", how, err)
		}
	}
}

// E-03: a refund that the host calls a courtesy takes no access away. Ignore is called for
// every kind of event, with its IDs.
func TestIgnore(t *testing.T) {
	t.Parallel()
	for _, s := range systems {
		st, seen := newStore(), map[string]webhook.Event{}
		o := &webhook.Options{Ignore: func(_ context.Context, e webhook.Event) (bool, error) {
			seen[e.Type] = e
			return e.Subscription == "" && strings.HasPrefix(e.Type, "refund."), nil
		}}
		h := s.handler(t, st, o)
		for _, name := range append(s.payment(), "renewal") {
			s.checkDelivery(t, h, name, 200)
		}
		st.calls = nil
		s.checkDelivery(t, h, "refund", 200)
		if got := st.planAt(t, owner, "2026-04-20T00:00:00Z"); got != "pro" || len(st.calls) > 0 || len(st.rejected) > 0 {
			t.Errorf("%s: after a courtesy refund: got plan %q and the calls %v, want pro and none", s.name, got, st.calls)
		}
		payments := 0
		for _, e := range seen {
			if e.ID == "" || e.At.IsZero() || len(e.Body) == 0 || e.Subscription == "" && e.Payment == "" {
				t.Errorf("%s: Ignore: got %+v", s.name, e)
			}
			if e.Payment != "" {
				payments++
			}
		}
		if want := 1 + len(s.payment()); payments != want {
			t.Errorf("%s: Ignore was called for %d events with a payment, want %d", s.name, payments, want)
		}
		s.checkDelivery(t, s.handler(t, st, nil), "refund", 200)
		if got := st.planAt(t, owner, "2026-04-20T00:00:00Z"); got != "" {
			t.Errorf("%s: after a refund that counts: got plan %q, want none", s.name, got)
		}
	}
}

// E-02: Ignore and Owner can reject an event: it is kept.
func TestHostRejects(t *testing.T) {
	t.Parallel()
	invalid := &entitlement.InvalidError{Field: "Owner", Err: errors.New("is banned")}
	for name, o := range map[string]*webhook.Options{
		"Owner":  {Owner: func(context.Context, webhook.Event) (string, error) { return "", invalid }},
		"Ignore": {Ignore: func(context.Context, webhook.Event) (bool, error) { return false, invalid }},
		"Refetch": {Refetch: func(context.Context, webhook.Event) (entitlement.Subscription, error) {
			return entitlement.Subscription{}, invalid
		}},
	} {
		st := newStore()
		stripe.checkDelivery(t, stripe.handler(t, st, o), "purchase", 422)
		if _, r := st.onlyRejected(t); !strings.Contains(r.reason, "is banned") || len(st.rows) > 0 {
			t.Errorf("%s: got the reason %q and the rows %v", name, r.reason, st.rows)
		}
	}
}
