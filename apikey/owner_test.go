package apikey_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/keyhatch/keyhatch/apikey"
	"github.com/keyhatch/keyhatch/entitlement"
	"github.com/keyhatch/keyhatch/internal/testkit"
	"github.com/keyhatch/keyhatch/store"
	"github.com/keyhatch/keyhatch/store/memstore"
)

// Invariant 10, M-16, advisory 19 (CVE-2026-33668): a Validate that starts after
// InvalidateOwner has returned uses the plan as it was when InvalidateOwner was called, or
// a later one. The provider pauses before and after it reads the plan.
func TestCancelledOwnerNeverValidates(t *testing.T) {
	var entitled atomic.Bool
	provider := entitlement.ProviderFunc(func(context.Context, string) (entitlement.Entitlement, error) {
		pause()
		e := entitlement.Entitlement{APIAccess: entitled.Load()}
		pause()
		return e, nil
	})
	m := newManager(t, memstore.New(), &apikey.Options{Entitlements: provider, CacheTTL: time.Hour})
	set := func(to bool) {
		entitled.Store(to)
		if err := m.InvalidateOwner(t.Context(), "owner"); err != nil {
			t.Fatal(err)
		}
	}
	set(true)
	issued := create(t, m, "owner")
	token := issued.Secret.Reveal()
	var accepted, refused, validations atomic.Int64
	n := testkit.Trials(1_000, 100_000)
	for range n {
		set(true)
		wantValid(t, m, issued) // a purchase takes effect at once too
		var ended atomic.Bool
		var validators sync.WaitGroup
		for range 64 {
			validators.Go(func() {
				for done := false; !done; pause() {
					done = ended.Load()
					validations.Add(1)
					_, err := m.Validate(t.Context(), token)
					switch {
					case err == nil && done:
						accepted.Add(1)
					case err != nil && !errors.Is(err, apikey.ErrNotEntitled):
						refused.Add(1)
					}
				}
			})
		}
		pause()
		set(false)
		ended.Store(true)
		validators.Wait()
	}
	t.Logf("%d trials, %d validations, %d accepted too late", n, validations.Load(), accepted.Load())
	if accepted.Load() > 0 || refused.Load() > 0 {
		t.Errorf("%d validations that started after InvalidateOwner had returned were accepted, and %d failed otherwise, in %d trials",
			accepted.Load(), refused.Load(), n)
	}
}

// Other instances see a change of a plan at once.
func TestInvalidateOwnerReachesOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st, bus := memstore.New(), &memoryBus{}
		b := &billing{result: plan(paid)}
		instance := func() *apikey.Manager {
			return newManager(t, st, &apikey.Options{Entitlements: b, Bus: bus, CacheTTL: time.Hour})
		}
		one, other := instance(), instance()
		settle()
		issued := create(t, one, "o")
		wantValid(t, other, issued)
		b.result = plan(entitlement.Entitlement{Plan: "free"})
		wantValid(t, other, issued)
		if err := one.InvalidateOwner(t.Context(), "o"); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		wantRefused(t, other, issued, apikey.ErrNotEntitled)
		wantRefused(t, one, issued, apikey.ErrNotEntitled)

		b.result = plan(paid)
		bus.fail(refuse)
		if err := one.InvalidateOwner(t.Context(), "o"); !errors.Is(err, apikey.ErrNotPropagated) || !errors.Is(err, apikey.ErrUnavailable) {
			t.Errorf("InvalidateOwner without a bus: got %v, want ErrNotPropagated", err)
		}
		wantValid(t, one, issued)
		bus.restore()
	})
}

// While the bus is down, cached plans expire after 10 s, as keys do, since changes of
// plans cannot be received.
func TestCachedPlansExpireWithoutBus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := &memoryBus{}
		b := &billing{result: plan(paid)}
		m := newManager(t, memstore.New(), &apikey.Options{Entitlements: b, Bus: bus, CacheTTL: time.Hour})
		settle()
		issued := create(t, m, "o")
		wantValid(t, m, issued)
		asked := b.asked.Load()
		time.Sleep(30 * time.Minute)
		wantValid(t, m, issued)
		if n := b.asked.Load() - asked; n != 0 {
			t.Errorf("calls of the provider within half of CacheTTL, with a bus: got %d, want 1", n)
		}
		b.result = plan(entitlement.Entitlement{Plan: "free"})
		bus.fail(refuse)
		time.Sleep(4 * time.Second)
		synctest.Wait()
		wantRefused(t, m, issued, apikey.ErrNotEntitled)
		b.result = plan(paid)
		time.Sleep(11 * time.Second)
		wantValid(t, m, issued)
		b.result = plan(entitlement.Entitlement{Plan: "free"})
		time.Sleep(10 * time.Second)
		wantRefused(t, m, issued, apikey.ErrNotEntitled)
	})
}

func TestInvalidateOwnerWithoutPlans(t *testing.T) {
	t.Parallel()
	m := newManager(t, memstore.New(), nil)
	if err := m.InvalidateOwner(t.Context(), "o"); err != nil {
		t.Errorf("InvalidateOwner without a provider: %v", err)
	}
	var invalid *apikey.InvalidError
	if err := m.InvalidateOwner(t.Context(), ""); !errors.As(err, &invalid) || invalid.Field != "Owner" {
		t.Errorf("InvalidateOwner of an empty owner: got %v, want an InvalidError of Owner", err)
	}
}

// An owner who is not entitled is looked up again after 5 s, even if the TTLs of the options
// are longer.
func TestPurchaseIsSeenSoon(t *testing.T) {
	for name, result := range map[string]func() (entitlement.Entitlement, error){
		"no access": plan(entitlement.Entitlement{Plan: "free"}),
		"none":      func() (entitlement.Entitlement, error) { return paid, entitlement.ErrNone },
	} {
		synctest.Test(t, func(t *testing.T) {
			b := &billing{result: plan(paid)}
			st := memstore.New()
			issued := create(t, newManager(t, st, nil), "o")
			b.result = result
			m := newManager(t, st, &apikey.Options{Entitlements: b, NegativeTTL: time.Hour, CacheTTL: time.Hour})
			wantRefused(t, m, issued, apikey.ErrNotEntitled)
			b.result = plan(paid)
			time.Sleep(5 * time.Second)
			if _, err := m.Validate(t.Context(), issued.Secret.Reveal()); err != nil {
				t.Errorf("%s, 5 s after a purchase: %v", name, err)
			}
		})
	}
}

// An entitlement lasts until ValidUntil, and for its grace period after that.
func TestGrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := paid
		e.ValidUntil, e.Grace = time.Now().Add(time.Minute), time.Hour
		m := newManager(t, memstore.New(), &apikey.Options{Entitlements: &billing{result: plan(e)}})
		issued := create(t, m, "o")
		time.Sleep(time.Hour + time.Minute - time.Nanosecond)
		wantValid(t, m, issued)
		time.Sleep(time.Nanosecond)
		wantRefused(t, m, issued, apikey.ErrNotEntitled)
	})
}

// After a downgrade all keys keep working. No key can be created until there are fewer than
// the new limit, and Usage.Excess is the number of keys above it.
func TestDowngradeOfMaxKeys(t *testing.T) {
	t.Parallel()
	e := paid
	e.MaxKeys = 5
	b := &billing{result: func() (entitlement.Entitlement, error) { return e, nil }}
	m := newManager(t, memstore.New(), &apikey.Options{Entitlements: b})
	var all []apikey.Issued
	for range 5 {
		all = append(all, create(t, m, "o"))
	}
	usage := func(keys, most, excess int, full bool) {
		t.Helper()
		o, err := m.Usage(t.Context(), "o")
		if err != nil || !o.Entitled || o.Used != keys || o.Entitlement.MaxKeys != most || o.Excess != excess || o.AtLimit() != full || o.Entitlement.Plan != "pro" {
			t.Errorf("Usage = %+v, at limit = %t, %v, want %d keys of %d, %d in excess", o, o.AtLimit(), err, keys, most, excess)
		}
	}
	usage(5, 5, 0, true)
	e.MaxKeys = 3
	if err := m.InvalidateOwner(t.Context(), "o"); err != nil {
		t.Fatal(err)
	}
	for i := range 3 { // down to two
		usage(5-i, 3, max(2-i, 0), true)
		for _, issued := range all[i:] {
			wantValid(t, m, issued)
		}
		if _, err := m.Create(t.Context(), apikey.CreateParams{Owner: "o", Name: "n"}); !errors.Is(err, apikey.ErrLimitReached) {
			t.Errorf("Create with %d keys of 3: got %v, want ErrLimitReached", 5-i, err)
		}
		if _, err := m.Revoke(t.Context(), "o", all[i].Key.ID, ""); err != nil {
			t.Fatal(err)
		}
	}
	usage(2, 3, 0, false)
	create(t, m, "o")
	usage(3, 3, 0, true)
}

func TestUsage(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name     string
		options  apikey.Options
		most     int
		entitled bool
		plan     string
	}{
		{"no provider", apikey.Options{}, 5, true, ""},
		{"no limit", apikey.Options{MaxKeysPerOwner: -1}, -1, true, ""},
		{"a plan that leaves the limit to the options", apikey.Options{MaxKeysPerOwner: 7, Entitlements: entitlement.Static(paid)}, 7, true, "pro"},
		{"a plan without access", apikey.Options{Entitlements: entitlement.Static(entitlement.Entitlement{Plan: "free", MaxKeys: 2})}, 2, false, "free"},
		{"no plan", apikey.Options{Entitlements: &billing{result: func() (entitlement.Entitlement, error) { return paid, entitlement.ErrNone }}}, 5, false, ""},
	} {
		m := newManager(t, memstore.New(), &tt.options)
		o, err := m.Usage(t.Context(), "o")
		if err != nil || o.Entitled != tt.entitled || o.Used != 0 || o.Excess != 0 || o.Entitlement.MaxKeys != tt.most || o.Entitlement.Plan != tt.plan || o.AtLimit() {
			t.Errorf("%s: Usage = %+v, at limit %v, %v", tt.name, o, o.AtLimit(), err)
		}
	}
	var invalid *apikey.InvalidError
	if _, err := newManager(t, memstore.New(), nil).Usage(t.Context(), ""); !errors.As(err, &invalid) {
		t.Errorf("Usage of an empty owner: got %v, want an InvalidError", err)
	}
	down := &apikey.Options{Entitlements: &billing{result: func() (entitlement.Entitlement, error) { return paid, errDown }}}
	if o, err := newManager(t, memstore.New(), down).Usage(t.Context(), "o"); !errors.Is(err, apikey.ErrUnavailable) || o.Entitled {
		t.Errorf("Usage while the provider is down: got %+v, %v, want ErrUnavailable", o, err)
	}
}

// A caller that changes a Usage does not change the plan.
func TestUsageIsACopy(t *testing.T) {
	t.Parallel()
	e := paid
	e.Scopes = []string{"reports:read"}
	m := newManager(t, memstore.New(), &apikey.Options{Entitlements: entitlement.Static(e)})
	issued := create(t, m, "o")
	o, err := m.Usage(t.Context(), "o")
	if err != nil {
		t.Fatal(err)
	}
	o.Entitlement.Scopes[0] = "*"
	if wantValid(t, m, issued).Allows("admin") {
		t.Error("a change of a Usage added a scope")
	}
	if again, _ := m.Usage(t.Context(), "o"); again.Entitlement.Scopes[0] != "reports:read" {
		t.Errorf("a Usage shows a caller's change of another one: %q", again.Entitlement.Scopes)
	}
}

// countStore returns n as every owner's count.
type countStore struct {
	store.Store
	n int
}

func (s countStore) Count(context.Context, string, time.Time) (int, error) { return s.n, nil }

func TestUsageOfManyKeys(t *testing.T) {
	t.Parallel()
	for n, want := range map[int]string{4: "0 false", 5: "0 true", 6: "1 true", 1_000_000: "999995 true"} {
		o, err := newManager(t, countStore{memstore.New(), n}, nil).Usage(t.Context(), "o")
		if got := fmt.Sprint(o.Excess, o.AtLimit()); err != nil || got != want {
			t.Errorf("%d keys of 5: excess and at limit: got %s, %v, want %s", n, got, err, want)
		}
	}
}

// No response to a client contains the name of the owner's plan. The handler gets the
// plan's limits.
func TestPlanNameIsHiddenFromClients(t *testing.T) {
	t.Parallel()
	const name = "pro-2026-eu"
	pro := entitlement.Entitlement{Plan: name, APIAccess: true, Features: []string{"export"}, Limits: entitlement.Limits{PerMinute: 60, PerDay: -1}}
	b := &billing{result: plan(pro)}
	m := newManager(t, memstore.New(), &apikey.Options{Entitlements: b})
	issued, other := create(t, m, "o"), create(t, m, "o")
	var limits []entitlement.Limits
	h := m.Require()(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		e := apikey.MustPrincipal(r.Context()).Entitlement()
		if e.Has("export") {
			limits = append(limits, e.Limits)
		}
	}))
	call := func(k apikey.Issued) *httptest.ResponseRecorder {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("Authorization", "Bearer "+k.Secret.Reveal())
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w
	}
	call(issued)
	call(other)
	if want := []entitlement.Limits{pro.Limits, pro.Limits}; !slices.Equal(limits, want) {
		t.Errorf("limits that handlers see for two keys of an owner: got %v, want %v", limits, want)
	}
	for _, result := range []func() (entitlement.Entitlement, error){
		plan(entitlement.Entitlement{Plan: name}),
		func() (entitlement.Entitlement, error) { return pro, errors.New("plan " + name + " is not known") },
	} {
		b.result = result
		if err := m.InvalidateOwner(t.Context(), "o"); err != nil {
			t.Fatal(err)
		}
		w := call(issued)
		if w.Code != 403 && w.Code != 503 || strings.Contains(fmt.Sprint(w.Body, w.Header()), name) {
			t.Errorf("got %d %v %s, want a refusal without the plan's name", w.Code, w.Header(), w.Body)
		}
	}
}

// Invariant 9: while the provider fails, a validation with an expired plan counts as an
// outage, since the plan may have been renewed. When the provider is back, the plan is
// looked up.
func TestExpiredPlanDuringOutage(t *testing.T) {
	down := func() (entitlement.Entitlement, error) { return entitlement.Entitlement{}, errDown }
	for name, before := range map[string]func() entitlement.Entitlement{
		"lapsed": func() entitlement.Entitlement {
			return entitlement.Entitlement{APIAccess: true, ValidUntil: time.Now().Add(10 * time.Minute)}
		},
		"no access": func() entitlement.Entitlement { return entitlement.Entitlement{Plan: "free"} },
	} {
		synctest.Test(t, func(t *testing.T) {
			b := &billing{result: plan(paid)}
			m := newManager(t, memstore.New(), &apikey.Options{Entitlements: b, StaleIfError: time.Hour, CacheTTL: 20 * time.Minute})
			issued := create(t, m, "o")
			e := before()
			b.result = plan(e)
			if err := m.InvalidateOwner(t.Context(), "o"); err != nil {
				t.Fatal(err)
			}
			if _, err := m.Validate(t.Context(), issued.Secret.Reveal()); (err == nil) != e.APIAccess {
				t.Fatalf("%s: %v before the outage", name, err)
			}
			b.result = down
			time.Sleep(11 * time.Minute)
			for range 6 { // an outage
				wantRefused(t, m, issued, apikey.ErrUnavailable)
				time.Sleep(time.Second)
			}
			b.result = plan(paid)
			time.Sleep(time.Second)
			if _, err := m.Validate(t.Context(), issued.Secret.Reveal()); err != nil {
				t.Errorf("%s: renewed, and the provider is back: %v", name, err)
			}
		})
	}
}

// If the provider is slow, the 5 s begin when the call to the provider begins.
func TestRefusalAgeCountsFromCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &billing{result: plan(paid)}
		m := newManager(t, memstore.New(), &apikey.Options{Entitlements: b})
		issued := create(t, m, "o")
		b.result = func() (entitlement.Entitlement, error) {
			time.Sleep(2 * time.Second)
			return entitlement.Entitlement{Plan: "free"}, nil
		}
		if err := m.InvalidateOwner(t.Context(), "o"); err != nil {
			t.Fatal(err)
		}
		wantRefused(t, m, issued, apikey.ErrNotEntitled)
		b.result = plan(paid)
		time.Sleep(3 * time.Second)
		wantValid(t, m, issued)
	})
}
