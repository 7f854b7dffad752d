package sqlprovider_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/keyhatch/keyhatch/entitlement"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// newSubscription returns a subscription that Put accepts.
func newSubscription(owner string) entitlement.Subscription {
	return entitlement.Subscription{Owner: owner, ID: "sub_1", Plan: "pro", Status: entitlement.Active, StartedAt: noon, UpdatedAt: noon}
}

func isInvalid(err error) bool {
	var invalid *entitlement.InvalidError
	return errors.As(err, &invalid)
}

func TestPutRefuses(t *testing.T) {
	t.Parallel()
	f := &fake{}
	p := open(t, f, nil)
	for name, change := range map[string]func(*entitlement.Subscription){
		"Owner: must not be empty":     func(s *entitlement.Subscription) { s.Owner = "" },
		"Owner: must have at most 255": func(s *entitlement.Subscription) { s.Owner = strings.Repeat("a", 256) },
		"Owner: must be valid UTF-8":   func(s *entitlement.Subscription) { s.Owner = "a\xff" },
		"Owner: must not contain":      func(s *entitlement.Subscription) { s.Owner = "a\x00b" },
		"ID: must have at most 255":    func(s *entitlement.Subscription) { s.ID = strings.Repeat("é", 128) },
		"ID: must not contain":         func(s *entitlement.Subscription) { s.ID = "a\x00" },
		`unknown plan: ""`:             func(s *entitlement.Subscription) { s.Plan = "" },
		`unknown plan: "Pro"`:          func(s *entitlement.Subscription) { s.Plan, s.Status = "Pro", entitlement.PastDue },
		"Plan: must have at most 255":  func(s *entitlement.Subscription) { s.Plan, s.Status = strings.Repeat("a", 256), entitlement.Ended },
		`unknown status "paused"`:      func(s *entitlement.Subscription) { s.Status = "paused" },
		`unknown status "held"`:        func(s *entitlement.Subscription) { s.Status = "held" },
		"Source: must be empty":        func(s *entitlement.Subscription) { s.Source = "stripe" },
		`unknown status ""`:            func(s *entitlement.Subscription) { s.Status = "" },
		"Version: -1 is negative":      func(s *entitlement.Subscription) { s.Version = -1 },
		"UpdatedAt: must be set":       func(s *entitlement.Subscription) { s.UpdatedAt = time.Time{}.Add(time.Nanosecond) },
		"StartedAt: must be in the":    func(s *entitlement.Subscription) { s.StartedAt = time.Time{}.Add(-time.Second) },
		"PeriodStart: must be in the":  func(s *entitlement.Subscription) { s.PeriodStart = time.Time{}.Add(-time.Second) },
		"PeriodEnd: must be in the":    func(s *entitlement.Subscription) { s.PeriodEnd = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC) },
		"UpdatedAt: must be in the":    func(s *entitlement.Subscription) { s.UpdatedAt = time.Unix(1<<60, 0) },
	} {
		s := newSubscription("ann")
		change(&s)
		changed, err := p.Put(t.Context(), s)
		if err == nil || changed || !strings.Contains(err.Error(), name) || !isInvalid(err) {
			t.Errorf("got %v, %v, want an InvalidError with %q", changed, err, name)
		}
		if want := strings.HasPrefix(name, "unknown plan"); errors.Is(err, entitlement.ErrUnknownPlan) != want {
			t.Errorf("%v matches ErrUnknownPlan: got %v, want %v", err, !want, want)
		}
	}
	if n := f.count(); n != 0 {
		t.Errorf("statements that refused calls sent to the database: got %d, want 0", n)
	}
}

// Apply sends no statement for a report with an invalid value.
func TestApplyRefuses(t *testing.T) {
	t.Parallel()
	f := &fake{}
	p := open(t, f, nil)
	payment := entitlement.Payment{ID: "in_1", Subscription: "sub_1", Amount: 1000, Currency: "usd", PeriodStart: noon, PeriodEnd: noon.Add(1), UpdatedAt: noon}
	refund := entitlement.Reversal{ID: "re_1", Kind: entitlement.Refund, Charge: "pi_1", Amount: 1000, Currency: "usd", UpdatedAt: noon}
	sub := newSubscription("ann")
	for _, tt := range []struct {
		want   string
		change func(r *entitlement.Report)
	}{
		{"Source: must be 1 to 32", func(r *entitlement.Report) { r.Source = "Stripe" }},
		{"Source: must be 1 to 32", func(r *entitlement.Report) { r.Source = "" }},
		{"Event: must not contain", func(r *entitlement.Report) { r.Event = "a\x00" }},
		{"Owner: must have at most 255", func(r *entitlement.Report) {
			r.Subscription = set(sub, func(s *entitlement.Subscription) { s.Owner = strings.Repeat("a", 256) })
		}},
		{"Owner: must be valid UTF-8", func(r *entitlement.Report) { r.Subscription, r.Owners = &sub, []string{"\xff"} }},
		{"Customer: must have at most 255", func(r *entitlement.Report) {
			r.Subscription = set(sub, func(s *entitlement.Subscription) { s.Customer = strings.Repeat("a", 256) })
		}},
		{"ID: must not be empty", func(r *entitlement.Report) {
			r.Subscription = set(sub, func(s *entitlement.Subscription) { s.ID = "" })
		}},
		{`unknown plan: "gold"`, func(r *entitlement.Report) {
			r.Subscription = set(sub, func(s *entitlement.Subscription) { s.Plan = "gold" })
		}},
		{`unknown status "paused"`, func(r *entitlement.Report) {
			r.Subscription = set(sub, func(s *entitlement.Subscription) { s.Status = "paused" })
		}},
		{"PeriodEnd: must not be before", func(r *entitlement.Report) {
			r.Subscription = set(sub, func(s *entitlement.Subscription) { s.PeriodStart, s.PeriodEnd = noon, noon.Add(-time.Second) })
		}},
		{"UpdatedAt: must be set", func(r *entitlement.Report) {
			r.Subscription = set(sub, func(s *entitlement.Subscription) { s.UpdatedAt = time.Time{} })
		}},
		{"ID: must not be empty", func(r *entitlement.Report) { r.Payment = set(payment, func(p *entitlement.Payment) { p.ID = "" }) }},
		{"subscription: must not be empty", func(r *entitlement.Report) {
			r.Payment = set(payment, func(p *entitlement.Payment) { p.Subscription = "" })
		}},
		{"Amount: -1 is negative", func(r *entitlement.Report) { r.Payment = set(payment, func(p *entitlement.Payment) { p.Amount = -1 }) }},
		{"Currency: must be three", func(r *entitlement.Report) {
			r.Payment = set(payment, func(p *entitlement.Payment) { p.Currency = "USD" })
		}},
		{"Currency: must be three", func(r *entitlement.Report) {
			r.Payment = set(payment, func(p *entitlement.Payment) { p.Currency = "" })
		}},
		{"PeriodEnd: must not be before", func(r *entitlement.Report) {
			r.Payment = set(payment, func(p *entitlement.Payment) { p.PeriodEnd = noon.Add(-time.Second) })
		}},
		{"payment: must not be empty", func(r *entitlement.Report) { r.Charge = &entitlement.Charge{ID: "pi_1", UpdatedAt: noon} }},
		{"charge: must not be empty", func(r *entitlement.Report) { r.Reversal = set(refund, func(v *entitlement.Reversal) { v.Charge = "" }) }},
		{"Currency: must be three", func(r *entitlement.Report) {
			r.Reversal = set(refund, func(v *entitlement.Reversal) { v.Currency = "euro" })
		}},
		{`unknown kind "hold"`, func(r *entitlement.Report) {
			r.Reversal = set(refund, func(v *entitlement.Reversal) { v.Kind = "hold" })
		}},
		{`unknown kind ""`, func(r *entitlement.Report) { r.Reversal = set(refund, func(v *entitlement.Reversal) { v.Kind = "" }) }},
		{"Version: -1 is negative", func(r *entitlement.Report) {
			r.Reversal = set(refund, func(v *entitlement.Reversal) { v.Version = -1 })
		}},
	} {
		r := entitlement.Report{Source: "stripe", Event: "evt_1"}
		tt.change(&r)
		if _, err := p.Apply(t.Context(), r); !isInvalid(err) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("got %v, want an InvalidError with %q", err, tt.want)
		}
	}
	if n := f.count(); n != 0 {
		t.Errorf("statements that refused calls sent to the database: got %d, want 0", n)
	}
}

// set returns v after f has changed it.
func set[T any](v T, f func(*T)) *T {
	f(&v)
	return &v
}

func TestPutHoldRefuses(t *testing.T) {
	t.Parallel()
	f := &fake{}
	p := open(t, f, nil)
	for name, change := range map[string]func(*entitlement.Hold){
		"Owner: must not be empty":    func(h *entitlement.Hold) { h.Owner = "" },
		"ID: must not contain":        func(h *entitlement.Hold) { h.ID = "a\x00" },
		"Version: -1 is negative":     func(h *entitlement.Hold) { h.Version = -1 },
		"UpdatedAt: must be set":      func(h *entitlement.Hold) { h.UpdatedAt = time.Time{} },
		"StartedAt: must be in the":   func(h *entitlement.Hold) { h.StartedAt = time.Time{}.Add(-time.Second) },
		"PeriodStart: must be in the": func(h *entitlement.Hold) { h.PeriodStart = time.Unix(1<<60, 0) },
	} {
		h := entitlement.Hold{Owner: "ann", ID: "dispute_1", StartedAt: noon, UpdatedAt: noon}
		change(&h)
		changed, err := p.PutHold(t.Context(), h)
		if err == nil || changed || !strings.HasPrefix(err.Error(), "sqlprovider: put hold: invalid "+name) || !isInvalid(err) {
			t.Errorf("got %v, %v, want an InvalidError with %q", changed, err, name)
		}
	}
	if n := f.count(); n != 0 {
		t.Errorf("statements that refused calls sent to the database: got %d, want 0", n)
	}
}

func TestPutAccepts(t *testing.T) {
	t.Parallel()
	p := open(t, &fake{}, nil)
	for name, change := range map[string]func(*entitlement.Subscription){
		"the longest owner": func(s *entitlement.Subscription) { s.Owner = strings.Repeat("a", 255) },
		"no id":             func(s *entitlement.Subscription) { s.ID = "" },
		"ended, no plan":    func(s *entitlement.Subscription) { s.Plan, s.Status = "", entitlement.Ended },
		"ended, old plan":   func(s *entitlement.Subscription) { s.Plan, s.Status = "legacy", entitlement.Ended },
		"no since":          func(s *entitlement.Subscription) { s.StartedAt = time.Time{} },
		"the last instant": func(s *entitlement.Subscription) {
			s.PeriodEnd = time.Date(9999, 12, 31, 23, 59, 59, 999999999, time.UTC)
		},
	} {
		s := newSubscription("ann")
		change(&s)
		if _, err := p.Put(t.Context(), s); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestPutOutage(t *testing.T) {
	t.Parallel()
	down := errors.New("down")
	f := &fake{err: down}
	changed, err := open(t, f, nil).Put(t.Context(), newSubscription("ann"))
	if changed || !errors.Is(err, down) || isInvalid(err) || !strings.HasPrefix(err.Error(), "sqlprovider: put: ") {
		t.Errorf("got %v, %v, want the database's error", changed, err)
	}
}

func TestSetOverrideRefuses(t *testing.T) {
	t.Parallel()
	f := &fake{}
	p := open(t, f, nil)
	for name, c := range map[string]struct {
		owner string
		o     entitlement.Override
		want  string
	}{
		"no owner":      {"", entitlement.Override{MaxKeys: 1}, "Owner"},
		"invalid scope": {"ann", entitlement.Override{Scopes: []string{"a b"}}, "scope"},
		"not UTF-8":     {"ann", entitlement.Override{Features: []string{"a\xff"}}, "UTF-8"},
		"long":          {"ann", entitlement.Override{Features: []string{strings.Repeat("a", 33<<10)}}, "at most 32768"},
		"endless grace": {"ann", entitlement.Override{Grace: 1 << 62}, "grace"},
	} {
		err := p.SetOverride(t.Context(), c.owner, c.o)
		if err == nil || !strings.Contains(err.Error(), c.want) || !isInvalid(err) {
			t.Errorf("%s: got %v, want an InvalidError with %q", name, err, c.want)
		}
	}
	if n := f.count(); n != 0 {
		t.Errorf("statements that refused calls sent to the database: got %d, want 0", n)
	}
}

func TestInvalidEvents(t *testing.T) {
	t.Parallel()
	f := &fake{}
	p := open(t, f, nil)
	for _, event := range []string{"", "a\x00", "\xff", strings.Repeat("a", 256)} {
		if err := p.SaveRejected(t.Context(), "stripe", event, noon, "", nil); !isInvalid(err) {
			t.Errorf("SaveRejected(%.10q): got %v, want an InvalidError", event, err)
		}
	}
	for _, source := range []string{"", "Stripe", "a b", "ä", strings.Repeat("a", 33)} {
		if err := p.SaveRejected(t.Context(), source, "evt_1", noon, "", nil); !isInvalid(err) {
			t.Errorf("SaveRejected of the source %q: got %v, want an InvalidError", source, err)
		}
	}
	if err := p.Prune(t.Context(), time.Unix(1<<60, 0)); !isInvalid(err) {
		t.Errorf("Prune of a year after 9999: got %v, want an InvalidError", err)
	}
	if n := f.count(); n != 0 {
		t.Errorf("statements that refused calls sent to the database: got %d, want 0", n)
	}
}
