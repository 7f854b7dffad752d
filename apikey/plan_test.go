package apikey_test

import (
	"context"
	"errors"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/keyhatch/keyhatch/apikey"
	"github.com/keyhatch/keyhatch/entitlement"
	"github.com/keyhatch/keyhatch/store/memstore"
)

// A billing returns the same entitlement for all owners and counts the calls.
type billing struct {
	asked  atomic.Int64
	result func() (entitlement.Entitlement, error)
}

func (b *billing) Entitlement(context.Context, string) (entitlement.Entitlement, error) {
	b.asked.Add(1)
	return b.result()
}

func plan(e entitlement.Entitlement) func() (entitlement.Entitlement, error) {
	return func() (entitlement.Entitlement, error) { return e, nil }
}

var paid = entitlement.Entitlement{Plan: "pro", APIAccess: true}

// Invariant 10: Create and Validate return ErrNotEntitled for a plan without API access and
// ErrUnavailable for a provider that fails.
func TestEntitlementResults(t *testing.T) {
	lapsed := paid
	lapsed.ValidUntil = time.Now().Add(-time.Second)
	for _, tt := range []struct {
		name   string
		result func() (entitlement.Entitlement, error)
		want   error
	}{
		{"paid", plan(paid), nil},
		{"paid until later", plan(entitlement.Entitlement{APIAccess: true, ValidUntil: time.Now().Add(time.Hour)}), nil},
		{"no API access", plan(entitlement.Entitlement{Plan: "pro", MaxKeys: 10}), apikey.ErrNotEntitled},
		{"lapsed", plan(lapsed), apikey.ErrNotEntitled},
		{"none", func() (entitlement.Entitlement, error) { return paid, entitlement.ErrNone }, apikey.ErrNotEntitled},
		{"outage", func() (entitlement.Entitlement, error) { return paid, errDown }, apikey.ErrUnavailable},
		{"panic", func() (entitlement.Entitlement, error) { panic("boom") }, apikey.ErrUnavailable},
		{"exit", func() (entitlement.Entitlement, error) { runtime.Goexit(); return paid, nil }, apikey.ErrUnavailable},
		{"hang", func() (entitlement.Entitlement, error) { select {} }, apikey.ErrUnavailable},
	} {
		t.Run(tt.name, func(t *testing.T) {
			st := memstore.New()
			issued := create(t, newManager(t, st, nil), "o")
			var events recorder
			opts := &apikey.Options{Entitlements: &billing{result: tt.result}, OnEvent: events.record}
			if tt.name == "hang" {
				opts.CallTimeout = 50 * time.Millisecond
			}
			m := newManager(t, st, opts)
			p, err := m.Validate(t.Context(), issued.Secret.Reveal())
			if !errors.Is(err, tt.want) || (p == nil) != (tt.want != nil) {
				t.Errorf("Validate = %v, %v, want %v", p, err, tt.want)
			}
			if got := events.take(); tt.want != nil && (len(got) != 1 || got[0].Kind != apikey.EventRefused || got[0].Owner != "o") {
				t.Errorf("events: got %+v, want one refusal", got)
			}
			if _, err := m.Create(t.Context(), apikey.CreateParams{Owner: "o", Name: "n"}); !errors.Is(err, tt.want) {
				t.Errorf("Create: got %v, want %v", err, tt.want)
			}
			if errors.Is(err, apikey.ErrUnauthenticated) {
				t.Errorf("an error of the plan matches ErrUnauthenticated: %v", err)
			}
			// An owner can revoke with any plan.
			if _, err := m.Revoke(t.Context(), "o", issued.Key.ID, ""); err != nil {
				t.Errorf("Revoke: %v", err)
			}
		})
	}
}

func TestDowngradeAndPurchase(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &billing{result: plan(paid)}
		m := newManager(t, memstore.New(), &apikey.Options{Entitlements: b})
		issued := create(t, m, "o")
		for range 100 {
			wantValid(t, m, issued)
		}
		if n := b.asked.Load(); n != 1 {
			t.Errorf("calls of the provider: got %d, want 1", n)
		}
		b.result = plan(entitlement.Entitlement{Plan: "free"})
		time.Sleep(time.Minute)
		wantRefused(t, m, issued, apikey.ErrNotEntitled)
		b.result = plan(paid)
		time.Sleep(5 * time.Second)
		wantValid(t, m, issued)
		b.result = func() (entitlement.Entitlement, error) { return paid, entitlement.ErrNone }
		time.Sleep(time.Minute)
		wantRefused(t, m, issued, apikey.ErrNotEntitled)
		b.result = plan(paid)
		time.Sleep(5 * time.Second)
		wantValid(t, m, issued)
	})
}

// Invariant 10: a plan that ends while the provider is asked for it does not admit the key.
func TestPlanEndsDuringLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := memstore.New()
		issued := create(t, newManager(t, st, nil), "o")
		ending := paid
		ending.ValidUntil = time.Now().Add(time.Millisecond)
		m := newManager(t, st, &apikey.Options{Entitlements: &billing{result: func() (entitlement.Entitlement, error) {
			time.Sleep(2 * time.Millisecond)
			return ending, nil
		}}})
		wantRefused(t, m, issued, apikey.ErrNotEntitled)
	})
}

// Invariant 10: an owner whose better plan ends while the provider is asked has the other
// plan at once.
func TestPlanIsReplacedDuringLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := memstore.New()
		issued := create(t, newManager(t, st, nil), "o")
		ending := paid
		ending.ValidUntil = time.Now().Add(time.Millisecond)
		m := newManager(t, st, &apikey.Options{Entitlements: &billing{result: func() (entitlement.Entitlement, error) {
			e := paid
			if time.Now().Before(ending.ValidUntil) {
				e = ending
			}
			time.Sleep(2 * time.Millisecond)
			return e, nil
		}}})
		wantValid(t, m, issued)
	})
}

// a key that expires while the provider is asked for its plan is refused.
func TestKeyExpiresDuringLoadOfPlan(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := memstore.New()
		issued, err := newManager(t, st, nil).Create(t.Context(), apikey.CreateParams{Owner: "o", Name: "ci", ExpiresAt: time.Now().Add(time.Second)})
		if err != nil {
			t.Fatal(err)
		}
		m := newManager(t, st, &apikey.Options{Entitlements: &billing{result: func() (entitlement.Entitlement, error) {
			time.Sleep(2 * time.Second)
			return paid, nil
		}}})
		wantRefused(t, m, issued, apikey.ErrExpired)
	})
}

// M-17: while the plan is not known, the limit is neither zero nor unlimited.
func TestRotateWhileTheProviderIsDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		one := paid
		one.MaxKeys = 1
		b := &billing{result: plan(one)}
		st, opts := memstore.New(), &apikey.Options{Entitlements: b}
		m, other := newManager(t, st, opts), newManager(t, st, opts)
		id := create(t, m, "o").Key.ID
		b.result = func() (entitlement.Entitlement, error) { return paid, errDown }
		rotate := func(m *apikey.Manager, grace time.Duration, want error, what string) {
			t.Helper()
			issued, err := m.Rotate(t.Context(), "o", id, grace)
			if !errors.Is(err, want) {
				t.Errorf("Rotate %s: got %v, want %v", what, err, want)
			}
			if key, err := m.Get(t.Context(), "o", id); err != nil || key.ReplacedBy != issued.Key.ID {
				t.Errorf("Rotate %s: ReplacedBy: got %q, %v, want %q", what, key.ReplacedBy, err, issued.Key.ID)
			}
			if err == nil {
				id = issued.Key.ID
			}
		}
		rotate(other, time.Hour, apikey.ErrUnavailable, "without a cached plan")
		rotate(m, time.Hour, nil, "with a cached plan")
		rotate(m, time.Hour, apikey.ErrConflict, "beyond the limit of a cached plan")
		time.Sleep(time.Minute) // CacheTTL
		rotate(m, time.Hour, apikey.ErrUnavailable, "after the cached plan has expired")
		rotate(other, 0, nil, "without a grace period")
	})
}

// An entitlement ends at its ValidUntil, even if it is cached.
func TestValidUntil(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		until := paid
		until.ValidUntil = time.Now().Add(10 * time.Second)
		b := &billing{result: plan(until)}
		m := newManager(t, memstore.New(), &apikey.Options{Entitlements: b})
		issued := create(t, m, "o")
		time.Sleep(10*time.Second - time.Nanosecond)
		wantValid(t, m, issued)
		time.Sleep(time.Nanosecond)
		wantRefused(t, m, issued, apikey.ErrNotEntitled)
	})
}

// Scopes that the plan does not cover are not allowed, until the plan covers them again.
func TestPlanClampsScopes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		small := paid
		small.Scopes = []string{"reports:list"}
		b := &billing{result: plan(paid)}
		m := newManager(t, memstore.New(), &apikey.Options{Entitlements: b})
		issued := create(t, m, "o")
		if p := wantValid(t, m, issued); !p.Allows("reports:read") || p.Entitlement().Plan != "pro" {
			t.Errorf("%+v: reports:read is not allowed", p)
		}
		b.result = plan(small)
		time.Sleep(time.Minute)
		if p := wantValid(t, m, issued); p.Allows("reports:read") || p.Allows("reports:list") {
			t.Error("a scope was allowed that the key or the plan lacks")
		}
		small.Scopes = []string{}
		b.result = plan(small)
		time.Sleep(time.Minute)
		if wantValid(t, m, issued).Allows("reports:read") {
			t.Error("a plan that covers no scope covered one")
		}
		b.result = plan(paid)
		time.Sleep(time.Minute)
		if !wantValid(t, m, issued).Allows("reports:read") {
			t.Error("the scope did not return with the plan")
		}
	})
}

// A handler that changes a Principal's copies, or a provider that changes an entitlement
// that it returned, does not change any key's scopes.
func TestHandlerChangesNoRights(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		features := entitlement.Entitlement{APIAccess: true, Scopes: []string{"reports:*"}}
		provider := entitlement.ProviderFunc(func(_ context.Context, owner string) (entitlement.Entitlement, error) {
			if owner != "o" {
				t.Errorf("owner in the call of the provider: got %q, want o", owner)
			}
			e := features
			e.ValidUntil = time.Now().Add(10 * time.Second)
			return e, nil
		})
		m := newManager(t, memstore.New(), &apikey.Options{Entitlements: provider, CacheTTL: time.Hour})
		issued, err := m.Create(t.Context(), apikey.CreateParams{Owner: "o", Name: "n", Scopes: []string{"reports:read", "admin"}})
		if err != nil {
			t.Fatal(err)
		}
		for round := range 3 {
			p := wantValid(t, m, issued)
			if p.Allows("admin") || p.Allows("reports:write") || !p.Allows("reports:read") {
				t.Fatalf("round %d: Allows uses a handler's change of its copy", round)
			}
			key, e := p.Key(), p.Entitlement()
			key.Scopes[0], e.Scopes[0], features.Scopes[0] = "reports:write", "*", "*"
			if p = wantValid(t, m, issued); p.Allows("admin") || p.Allows("reports:write") || p.Key().Scopes[0] != "reports:read" {
				t.Fatalf("round %d: Allows uses a copy that was changed", round)
			}
			features.Scopes[0] = "reports:*"
			time.Sleep(11 * time.Second)
		}
	})
}
