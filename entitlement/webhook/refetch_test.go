package webhook_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/keyhatch/keyhatch/entitlement"
	"github.com/keyhatch/keyhatch/entitlement/webhook"
)

// With Refetch, an event is only a trigger: the state from the billing system is stored,
// with the time before the call.
func TestRefetch(t *testing.T) {
	t.Parallel()
	for _, s := range systems {
		synctest.Test(t, func(t *testing.T) {
			st := newStore()
			began := time.Now()
			o := &webhook.Options{Refetch: func(_ context.Context, e webhook.Event) (entitlement.Subscription, error) {
				if e.Subscription == "" || e.At.IsZero() || len(e.Products) == 0 {
					t.Errorf("%s: got %+v", s.name, e)
				}
				time.Sleep(time.Second)
				return entitlement.Subscription{Plan: "team", Status: active, PeriodEnd: began.Add(time.Hour)}, nil
			}}
			s.checkDelivery(t, s.handler(t, st, o), "cancel", 200)
			got := st.onlyRow(t)
			if got.Plan != "team" || got.Status != active || got.Owner != owner || got.ID == "" || !got.UpdatedAt.Equal(began) {
				t.Errorf("%s: got %+v", s.name, got)
			}
		})
	}
}

// Of two concurrent events, the one whose fetch began first and ended last fetches again.
func TestConcurrentRefetches(t *testing.T) {
	t.Parallel()
	for name, between := range map[string]time.Duration{"later": time.Second, "at the same instant": 0} {
		synctest.Test(t, func(t *testing.T) {
			var mu sync.Mutex
			st := newStore()
			current, slow, calls := entitlement.Subscription{Status: ended}, 3*time.Second, 0
			o := &webhook.Options{Refetch: func(context.Context, webhook.Event) (entitlement.Subscription, error) {
				mu.Lock()
				state, wait := current, slow
				slow = 0
				calls++
				mu.Unlock()
				time.Sleep(wait + time.Millisecond) // the state may have changed meanwhile
				return state, nil
			}}
			h := stripe.handler(t, st, o)
			done := make(chan struct{})
			go func() {
				stripe.checkDelivery(t, h, "cancel", 200)
				close(done)
			}()
			synctest.Wait()
			time.Sleep(between)
			mu.Lock()
			current = entitlement.Subscription{Plan: "pro", Status: active}
			mu.Unlock()
			stripe.checkDelivery(t, h, "purchase", 200)
			<-done
			if got := st.onlyRow(t); got.Status != active || calls != 3 {
				t.Errorf("%s: got %+v after %d calls, want the current state after 3", name, got, calls)
			}
		})
	}
}

// A Stripe event of a subscription with more than ten items does not have all of them.
func TestManyItems(t *testing.T) {
	t.Parallel()
	full := edit(t, loadPayload(t, stripe, "purchase"), `"has_more": false`, `"has_more": true`)
	st := newStore()
	if got := stripe.deliver(stripe.handler(t, st, nil), "", full); got != 422 || len(st.rows) > 0 {
		t.Errorf("without Refetch: got %d and %v, want 422", got, st.rows)
	}
	for _, rejected := range st.rejected {
		if !strings.Contains(rejected.reason, "set Options.Refetch") {
			t.Errorf("without Refetch: got the reason %q, want one that names Options.Refetch", rejected.reason)
		}
	}
	o := &webhook.Options{Refetch: func(_ context.Context, e webhook.Event) (entitlement.Subscription, error) {
		if !slices.Equal(e.Products, []string{"price_1Qpro0KhExample", "prod_QproExample"}) {
			t.Errorf("got the products %q", e.Products)
		}
		return entitlement.Subscription{Plan: "team", Status: active}, nil
	}}
	if got := stripe.deliver(stripe.handler(t, st, o), "", full); got != 200 || st.onlyRow(t).Plan != "team" {
		t.Errorf("with Refetch: got %d and %v, want plan team", got, st.rows)
	}
	st = newStore() // an end needs no items
	full = edit(t, loadPayload(t, stripe, "cancel"), `"has_more": false`, `"has_more": true`)
	if got := stripe.deliver(stripe.handler(t, st, nil), "", full); got != 200 || st.onlyRow(t).Status != ended {
		t.Errorf("cancelled: got %d and %v, want it ended", got, st.rows)
	}
}

// An instance whose clock is behind does not lose a fetched state: the event is sent again
// until the clock has caught up.
func TestRefetchWithClockAhead(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		st, o := newStore(), withOwner()
		state := entitlement.Subscription{Plan: "pro", Status: active}
		o.Refetch = func(context.Context, webhook.Event) (entitlement.Subscription, error) { return state, nil }
		h := stripe.handler(t, st, o)
		stripe.checkDelivery(t, h, "purchase", 200)
		ahead := st.onlyRow(t)
		ahead.UpdatedAt = time.Now().Add(5 * time.Second)
		if _, err := st.Apply(t.Context(), entitlement.Report{Source: "stripe", Subscription: &ahead}); err != nil {
			t.Fatal(err)
		}
		state = entitlement.Subscription{Status: ended}
		stripe.checkDelivery(t, h, "cancel", 503)
		time.Sleep(6 * time.Second)
		stripe.checkDelivery(t, h, "cancel", 200)
		if got := st.onlyRow(t); got.Status != ended {
			t.Errorf("got %+v, want it ended", got)
		}
	})
}

func TestRefetchResults(t *testing.T) {
	t.Parallel()
	good := entitlement.Subscription{Owner: "org_7", ID: "sub_x", Plan: "pro", Status: active}
	for name, c := range map[string]struct {
		refetch func() (entitlement.Subscription, error)
		want    int
	}{
		"valid":        {func() (entitlement.Subscription, error) { return good, nil }, 200},
		"an outage":    {func() (entitlement.Subscription, error) { return good, errors.New("down") }, 503},
		"a panic":      {func() (entitlement.Subscription, error) { panic("down") }, 503},
		"nothing":      {func() (entitlement.Subscription, error) { return entitlement.Subscription{}, nil }, 422},
		"no status":    {func() (entitlement.Subscription, error) { s := good; s.Status = "x"; return s, nil }, 422},
		"no plan":      {func() (entitlement.Subscription, error) { s := good; s.Plan = ""; return s, nil }, 422},
		"unknown plan": {func() (entitlement.Subscription, error) { s := good; s.Plan = "x"; return s, nil }, 422},
		"ended, without a plan": {func() (entitlement.Subscription, error) {
			s := good
			s.Plan, s.Status = "", ended
			return s, nil
		}, 200},
		"an invalid owner": {func() (entitlement.Subscription, error) { s := good; s.Owner = strings.Repeat("a", 256); return s, nil }, 422},
	} {
		st := newStore()
		o := &webhook.Options{Refetch: func(context.Context, webhook.Event) (entitlement.Subscription, error) { return c.refetch() }}
		stripe.checkDelivery(t, stripe.handler(t, st, o), "purchase", c.want)
		if c.want == 200 {
			if got := st.onlyRow(t); got.Owner != "org_7" || got.ID != "sub_x" {
				t.Errorf("%s: got %+v", name, got)
			}
		} else if len(st.rows) > 0 || len(st.rejected) != map[int]int{422: 1}[c.want] {
			t.Errorf("%s: got the rows %v and %d rejected events", name, st.rows, len(st.rejected))
		}
	}
}

// Payments, refunds and disputes are not refetched, and need no owner.
func TestPaymentsAreNotRefetched(t *testing.T) {
	t.Parallel()
	for _, s := range systems {
		st := newStore()
		o := &webhook.Options{
			Owner: func(context.Context, webhook.Event) (string, error) { return "", errors.New("Owner was called") },
			Refetch: func(context.Context, webhook.Event) (entitlement.Subscription, error) {
				return entitlement.Subscription{}, errors.New("Refetch was called")
			},
		}
		h := s.handler(t, st, o)
		for _, name := range append(s.payment(), "refund") {
			s.checkDelivery(t, h, name, 200)
		}
		if want := 1 + len(s.payment()); len(st.rows) != want {
			t.Errorf("%s: got the rows %v, want %d", s.name, st.rows, want)
		}
	}
}
