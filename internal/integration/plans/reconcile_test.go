package plans_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/keyhatch/keyhatch/entitlement"
	"github.com/keyhatch/keyhatch/entitlement/sqlprovider"
	"github.com/keyhatch/keyhatch/entitlement/webhook"
)

// listed returns the reports as a billing system's API would return them, and then the
// error.
func listed(err error, reports ...entitlement.Report) iter.Seq2[entitlement.Report, error] {
	return func(yield func(entitlement.Report, error) bool) {
		for _, r := range reports {
			if !yield(r, nil) {
				return
			}
		}
		if err != nil {
			yield(entitlement.Report{}, err)
		}
	}
}

// A reconciliation stores what differs, and reports what the API does not return.
func TestReconcile(t *testing.T) {
	forEach(t, func(t *testing.T, d database) {
		p, _ := d.start(t)
		var invalidated []string
		h := newHandler(t, p, senders[0], &webhook.Options{Changed: func(_ context.Context, owner string) error {
			invalidated = append(invalidated, owner)
			return nil
		}})
		apply(t, p, reportedAt(1, sold("ann", "sub_1", "pro")))
		apply(t, p, reportedAt(1, sold("bob", "sub_2", "pro")))
		apply(t, p, reportedAt(1, sold("eve", "sub_4", "pro")))
		ended := sold("old", "sub_5", "pro")
		ended.Status = entitlement.Ended
		apply(t, p, reportedAt(1, ended))

		cancelled := sold("bob", "sub_2", "pro")
		cancelled.Status = entitlement.Ended
		all := []entitlement.Report{
			{Subscription: ptr(sold("ann", "sub_1", "pro"))},     // as it is stored
			{Subscription: &cancelled},                           // an event was missed
			{Subscription: ptr(sold("carol", "sub_3", "max"))},   // all events were missed
			{Subscription: ptr(sold("mallory", "sub_1", "pro"))}, // contradicts what is stored
			{Subscription: ptr(sold("ann", "sub_6", "gold"))},    // unknown plan
			{Payment: ptr(paid("in_1", "sub_1"))},
			{Reversal: &entitlement.Reversal{ID: "re_1", Kind: entitlement.Refund, Payment: "in_1", Whole: true}},
		}
		got, err := h.Reconcile(t.Context(), listed(nil, all...))
		rejected := len(got.Rejected)
		got.Rejected = nil
		want := webhook.Reconciliation{Read: 7, Changed: 4, Missing: []string{"sub_4"}}
		if err != nil || !reflect.DeepEqual(got, want) || rejected != 2 {
			t.Errorf("got %+v, %d rejected, %v, want %+v and 2 rejected", got, rejected, err, want)
		}
		if slices.Sort(invalidated); !slices.Equal(slices.Compact(invalidated), []string{"ann", "bob", "carol"}) {
			t.Errorf("got Changed called for %q, want ann, bob and carol", invalidated)
		}
		for owner, plan := range map[string]string{"ann": "", "bob": "", "carol": "max", "eve": "pro"} {
			checkAccess(t, p, owner, plan)
		}
		if again, err := h.Reconcile(t.Context(), listed(nil, all...)); err != nil || again.Changed != 0 {
			t.Errorf("again: got %+v, %v, want no change", again, err)
		}
		down := errors.New("the API is down")
		if got, err := h.Reconcile(t.Context(), listed(down, all[0])); !errors.Is(err, down) || got.Read != 1 {
			t.Errorf("got %+v, %v, want one report and the API's error", got, err)
		}
	})
}

// E-03: a cancellation for the end of the period is stored, and read back. So is the change of
// mind.
func TestCancellationIsStored(t *testing.T) {
	forEach(t, func(t *testing.T, d database) {
		p, _ := d.start(t)
		h := newHandler(t, p, senders[0], nil)
		for _, status := range []entitlement.Status{entitlement.Active, entitlement.Trialing, entitlement.PastDue} {
			s := sold("ann", "sub_"+string(status), "pro")
			s.Status, s.PeriodEnd = status, time.Now().Add(-time.Minute)
			apply(t, p, reportedAt(1, s))
			for _, cancelled := range []bool{false, true, true, false} {
				before := subscription(t, p, s.ID)
				s.CancelAtPeriodEnd = cancelled
				changed := count(before.CancelAtPeriodEnd != cancelled && status != entitlement.PastDue)
				s.UpdatedAt = before.UpdatedAt.Add(time.Second)
				if got, err := h.Reconcile(t.Context(), listed(nil, entitlement.Report{Subscription: ptr(s)})); err != nil || got.Changed != changed {
					t.Errorf("%s, cancelled %t: got %+v, %v, want %d changed", status, cancelled, got, err, changed)
				}
				want := cancelled && status != entitlement.PastDue
				if got := subscription(t, p, s.ID); got.CancelAtPeriodEnd != want || got.Status != status {
					t.Errorf("%s, cancelled %t: got %+v", status, cancelled, got)
				}
			}
			s.CancelAtPeriodEnd, s.UpdatedAt = status != entitlement.PastDue, s.UpdatedAt.Add(time.Second)
			apply(t, p, entitlement.Report{Source: "stripe", Subscription: ptr(s)})
		}
		if err := p.Check(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// subscription returns the stored state of a subscription of Stripe.
func subscription(t *testing.T, p *sqlprovider.Provider, id string) entitlement.Subscription {
	t.Helper()
	all, err := p.Subscriptions(t.Context(), "stripe", "", 1000)
	i := slices.IndexFunc(all, func(s entitlement.Subscription) bool { return s.ID == id })
	if err != nil || i < 0 {
		t.Fatalf("got %+v, %v, want %s among them", all, err, id)
	}
	return all[i]
}

// E-01: an event that arrives during a reconciliation is not overwritten, even though Stripe
// truncates the time of its events to seconds.
func TestEventDuringAReconciliation(t *testing.T) {
	forEach(t, func(t *testing.T, d database) {
		p, _ := d.start(t)
		h := newHandler(t, p, senders[0], nil)
		apply(t, p, reportedAt(1, sold("ann", "sub_1", "pro")))
		got, err := h.Reconcile(t.Context(), func(yield func(entitlement.Report, error) bool) {
			listed := sold("ann", "sub_1", "max") // by a read before the event
			ended := sold("ann", "sub_1", "max")
			ended.Status, ended.UpdatedAt, ended.Version = entitlement.Ended, time.Now().Truncate(time.Second), 1
			apply(t, p, entitlement.Report{Source: "stripe", Subscription: &ended})
			yield(entitlement.Report{Subscription: &listed}, nil)
		})
		if err != nil || got.Changed != 0 {
			t.Errorf("got %+v, %v, want no change", got, err)
		}
		checkAccess(t, p, "ann", "")
	})
}

func ptr[T any](v T) *T { return &v }

// A reconciliation reads more subscriptions than fit on a page, and finds the only
// difference.
func TestReconcileMany(t *testing.T) {
	forEach(t, func(t *testing.T, d database) {
		p, _ := d.start(t)
		h := newHandler(t, p, senders[0], nil)
		var all []entitlement.Report
		for i := range 1100 {
			all = append(all, entitlement.Report{Subscription: ptr(sold(fmt.Sprint("owner ", i), fmt.Sprint("sub_", i), "pro"))})
		}
		if got, err := h.Reconcile(t.Context(), listed(nil, all...)); err != nil || got.Changed != 1100 || len(got.Missing) != 0 {
			t.Errorf("got %+v, %v, want 1,100 changes", got, err)
		}
		if got, err := h.Reconcile(t.Context(), listed(nil, all[1:]...)); err != nil || got.Changed != 0 || !slices.Equal(got.Missing, []string{"sub_0"}) {
			t.Errorf("got %+v, %v, want sub_0 missing", got, err)
		}
	})
}
