package webhook_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/keyhatch/keyhatch/entitlement"
)

func parseTime(text string) time.Time {
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		panic(err)
	}
	return t
}

const (
	stripeBegan = "2026-03-01T10:00:00Z"
	otherBegan  = "2026-03-01T10:00:00.120034Z" // of Polar and Dodo

	active   = entitlement.Active
	trialing = entitlement.Trialing
	pastDue  = entitlement.PastDue
	ended    = entitlement.Ended
)

// Each event about a subscription is stored with these values.
var storedStates = []struct {
	system         system
	name           string
	id, plan       string
	status         entitlement.Status
	since, paid    string // paid is when the paid period began
	until, updated string
	stage          int64
}{
	{stripe, "incomplete", "sub_1QkhExample0001", "pro", ended, stripeBegan, "", stripeBegan, stripeBegan, 1},
	{stripe, "trial", "sub_1QkhExample0001", "pro", trialing, stripeBegan, "", "2026-03-15T10:00:00Z", stripeBegan, 2},
	{stripe, "purchase", "sub_1QkhExample0001", "pro", active, stripeBegan, stripeBegan, "2026-04-01T10:00:00Z", stripeBegan, 3},
	{stripe, "purchase_2024", "sub_1QkhExample0001", "pro", active, stripeBegan, stripeBegan, "2026-04-01T10:00:00Z", stripeBegan, 3},
	{stripe, "renewal", "sub_1QkhExample0001", "pro", active, stripeBegan, "2026-04-01T10:00:00Z", "2026-05-01T10:00:00Z", "2026-04-01T10:00:02Z", 3},
	{stripe, "plan_change", "sub_1QkhExample0001", "team", active, stripeBegan, "2026-04-01T10:00:00Z", "2026-05-01T10:00:00Z", "2026-04-10T09:30:00Z", 3},
	{stripe, "cancel_at_period_end", "sub_1QkhExample0001", "pro", active, stripeBegan, "2026-04-01T10:00:00Z", "2026-05-01T10:00:00Z", "2026-04-12T08:00:00Z", 3},
	{stripe, "cancel", "sub_1QkhExample0001", "pro", ended, stripeBegan, "", "2026-04-14T08:00:00Z", "2026-04-14T08:00:00Z", 6},
	{stripe, "past_due", "sub_1QkhExample0001", "pro", pastDue, stripeBegan, "", "2026-04-01T10:00:00Z", "2026-04-01T11:01:01Z", 4},
	{stripe, "unpaid", "sub_1QkhExample0001", "pro", ended, stripeBegan, "", "2026-04-22T10:00:00Z", "2026-04-22T10:00:00Z", 5},

	{polar, "incomplete", "5b5c0000-0000-4000-8000-000000000001", "pro", ended, otherBegan, "", "2026-03-01T10:00:00.6Z", "2026-03-01T10:00:00.6Z", 1},
	{polar, "trial", "5b5c0000-0000-4000-8000-000000000001", "pro", trialing, otherBegan, "", "2026-03-15T10:00:00Z", "2026-03-01T10:00:02.417251Z", 2},
	{polar, "purchase", "5b5c0000-0000-4000-8000-000000000001", "pro", active, otherBegan, "2026-03-01T10:00:00.5Z", "2026-04-01T10:00:00.5Z", "2026-03-01T10:00:02.417251Z", 3},
	{polar, "renewal", "5b5c0000-0000-4000-8000-000000000001", "pro", active, otherBegan, "2026-04-01T10:00:00.5Z", "2026-05-01T10:00:00.5Z", "2026-04-01T10:00:05.000001Z", 3},
	{polar, "plan_change", "5b5c0000-0000-4000-8000-000000000001", "team", active, otherBegan, "2026-04-01T10:00:00.5Z", "2026-05-01T10:00:00.5Z", "2026-04-10T09:30:00.000001Z", 3},
	{polar, "cancel_at_period_end", "5b5c0000-0000-4000-8000-000000000001", "pro", active, otherBegan, "2026-04-01T10:00:00.5Z", "2026-05-01T10:00:00.5Z", "2026-04-12T08:00:00.000001Z", 3},
	{polar, "cancel", "5b5c0000-0000-4000-8000-000000000001", "pro", ended, otherBegan, "", "2026-04-14T08:00:00.000001Z", "2026-04-14T08:00:00.000001Z", 6},
	{polar, "past_due", "5b5c0000-0000-4000-8000-000000000001", "pro", pastDue, otherBegan, "", "2026-04-01T10:00:00.5Z", "2026-04-01T10:01:07.000009Z", 4},
	{polar, "unpaid", "5b5c0000-0000-4000-8000-000000000001", "pro", ended, otherBegan, "", "2026-04-22T10:00:00Z", "2026-04-22T10:00:00Z", 5},

	{dodo, "pending", "sub_KhExample0001", "pro", ended, otherBegan, "", "2026-03-01T10:00:00.2Z", "2026-03-01T10:00:00.2Z", 1},
	{dodo, "trial", "sub_KhExample0001", "pro", trialing, otherBegan, "", "2026-03-15T10:00:00.120034Z", "2026-03-01T10:00:09.854Z", 2},
	{dodo, "purchase", "sub_KhExample0001", "pro", active, otherBegan, otherBegan, "2026-04-01T10:00:00.120034Z", "2026-03-01T10:00:09.854Z", 3},
	{dodo, "renewal", "sub_KhExample0001", "pro", active, otherBegan, "2026-04-01T10:00:00.120034Z", "2026-05-01T10:00:00.120034Z", "2026-04-01T10:02:11.003Z", 3},
	{dodo, "plan_change", "sub_KhExample0001", "team", active, otherBegan, "2026-04-01T10:00:00.120034Z", "2026-05-01T10:00:00.120034Z", "2026-04-10T09:30:00.001Z", 3},
	{dodo, "cancel_at_period_end", "sub_KhExample0001", "pro", active, otherBegan, "2026-04-01T10:00:00.120034Z", "2026-05-01T10:00:00.120034Z", "2026-04-12T08:00:00.001Z", 3},
	{dodo, "cancelled_at_period_end", "sub_KhExample0001", "pro", ended, otherBegan, "", "2026-05-01T10:00:03Z", "2026-05-01T10:00:03Z", 6},
	{dodo, "cancel", "sub_KhExample0001", "pro", ended, otherBegan, "", "2026-04-14T08:00:00.001Z", "2026-04-14T08:00:00.001Z", 6},
	{dodo, "past_due", "sub_KhExample0001", "pro", pastDue, otherBegan, "", "2026-04-01T10:00:00.120034Z", "2026-04-01T10:02:11.003Z", 4},
	{dodo, "past_due_advanced", "sub_KhExample0001", "pro", pastDue, otherBegan, "", "2026-04-01T10:02:11.003Z", "2026-04-01T10:02:11.003Z", 4},
	{dodo, "expired", "sub_KhExample0001", "pro", ended, otherBegan, "", "2026-05-01T10:02:11.003Z", "2026-05-01T10:02:11.003Z", 6},
}

func TestStoredStates(t *testing.T) {
	t.Parallel()
	for _, c := range storedStates {
		t.Run(c.system.name+"/"+c.name, func(t *testing.T) {
			t.Parallel()
			st := newStore()
			c.system.checkDelivery(t, c.system.handler(t, st, nil), c.name, 200)
			got := st.onlyRow(t)
			if got.Version>>48 != c.stage {
				t.Errorf("stage: got %d, want %d", got.Version>>48, c.stage)
			}
			want := entitlement.Subscription{
				Owner: owner, Source: c.system.name, Customer: customers[c.system.name], ID: c.id, Plan: c.plan, Status: c.status,
				StartedAt: parseTime(c.since), PeriodEnd: parseTime(c.until), UpdatedAt: parseTime(c.updated), Version: got.Version,
				CancelAtPeriodEnd: c.name == "cancel_at_period_end",
			}
			if c.paid != "" {
				want.PeriodStart = parseTime(c.paid)
			}
			if got != want {
				t.Errorf("got  %+v\nwant %+v", got, want)
			}
		})
	}
}

// E-02: a report with the times of the billing system's API says the same as its event, so
// Reconcile changes nothing.
func TestReportSaysTheSameAsTheEvent(t *testing.T) {
	t.Parallel()
	for _, c := range storedStates {
		if c.system.name != "stripe" || c.name == "purchase_2024" || c.plan != "pro" {
			continue // its period is elsewhere, or its plan is that of a product
		}
		st := newStore()
		h := c.system.handler(t, st, nil)
		c.system.checkDelivery(t, h, c.name, 200)
		stored := st.onlyRow(t)
		var event struct {
			Data struct{ Object stripeSubscription }
		}
		if err := json.Unmarshal(loadPayload(t, c.system, c.name), &event); err != nil {
			t.Fatal(err)
		}
		report := reportOf(event.Data.Object, products)
		result, err := h.Reconcile(t.Context(), func(yield func(entitlement.Report, error) bool) { yield(report, nil) })
		if err != nil || result.Read != 1 || len(result.Rejected) > 0 {
			t.Errorf("%s: got %+v, %v", c.name, result, err)
		}
		if c.status != ended && result.Changed != 0 || st.onlyRow(t).Status != c.status {
			t.Errorf("%s: got %+v in place of %+v, want no change", c.name, st.onlyRow(t), stored)
		}
	}
}

// E-03: a subscription that ends at an instant of its own is not renewed if that instant is in
// the current period, or so soon after it that both mean the same.
func TestEndOfSubscription(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		system         system
		old, new       string
		until          string // the period ends at 10:00 on 1 April
		isCancellation bool
	}{
		{stripe, `"cancel_at": null`, `"cancel_at": 1774000000`, "2026-03-20T09:46:40Z", true},
		{stripe, `"cancel_at": null`, `"cancel_at": 1775037600`, "2026-04-01T10:00:00Z", true},
		{stripe, `"cancel_at": null`, `"cancel_at": 1775041201`, "2026-04-01T10:00:00Z", false},
		{stripe, `"cancel_at_period_end": false`, `"cancel_at_period_end": true`, "2026-04-01T10:00:00Z", true},
		{polar, `"ends_at": null`, `"ends_at": "2026-03-20T10:00:00Z"`, "2026-03-20T10:00:00Z", true},
		{polar, `"ends_at": null`, `"ends_at": "2026-06-01T10:00:00.5Z"`, "2026-04-01T10:00:00.5Z", false},
		{polar, `"cancel_at_period_end": false`, `"cancel_at_period_end": true`, "2026-04-01T10:00:00.5Z", true},
		{dodo, `"expires_at": "`, `"expires_at": "2026-04-01T10:00:07Z", "old": "`, "2026-04-01T10:00:07Z", true},
		{dodo, `"expires_at": "`, `"expires_at": "2027-04-01T10:00:07Z", "old": "`, "2026-04-01T10:00:00.120034Z", false},
		{dodo, `"cancel_at_next_billing_date": false`, `"cancel_at_next_billing_date": true`, "2026-04-01T10:00:00.120034Z", true},
	} {
		st := newStore()
		c.system.deliver(c.system.handler(t, st, nil), "e", edit(t, loadPayload(t, c.system, "purchase"), c.old, c.new))
		if got := st.onlyRow(t); !got.PeriodEnd.Equal(parseTime(c.until)) || got.CancelAtPeriodEnd != c.isCancellation || got.Status != active {
			t.Errorf("%s %s: got %+v, want it paid until %s, and cancelled: %t", c.system.name, c.new, got, c.until, c.isCancellation)
		}
	}
}

// E-03: if the first payment after a trial fails, the subscription has never been paid for.
func TestTrialThatWasNeverPaid(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		system         system
		name, old, new string
		want           entitlement.Status
	}{
		{stripe, "past_due", `"trial_end": null`, `"trial_end": 1775037600`, trialing},
		{stripe, "past_due", `"trial_end": null`, `"trial_end": 1772359200`, pastDue},
		{polar, "past_due", `"trial_end": null`, `"trial_end": "2026-04-01T10:00:00.5Z"`, trialing},
		{polar, "past_due", `"trial_end": null`, `"trial_end": "2026-03-01T10:00:00.5Z"`, pastDue},
		{dodo, "past_due", `"trial_period_days": 0`, `"trial_period_days": 31`, trialing},
		{dodo, "past_due", `"trial_period_days": 0`, `"trial_period_days": 14`, pastDue},
		{dodo, "past_due_advanced", `"trial_period_days": 0`, `"trial_period_days": 31`, trialing},
		{dodo, "past_due_advanced", `"trial_period_days": 0`, `"trial_period_days": 14`, pastDue},
	} {
		before, st := newStore(), newStore()
		body := loadPayload(t, c.system, c.name)
		c.system.deliver(c.system.handler(t, before, nil), "e", body)
		c.system.deliver(c.system.handler(t, st, nil), "e", edit(t, body, c.old, c.new))
		want := before.onlyRow(t)
		want.Status = c.want
		if got := st.onlyRow(t); got != want {
			t.Errorf("%s %s, %s: got %+v, want %+v", c.system.name, c.name, c.new, got, want)
		}
	}
}

// customers holds the customer of the payloads of each system.
var customers = map[string]string{
	"stripe": "cus_QkhExample01", "polar": "c0ffee00-0000-4000-8000-000000000001", "dodo": "cus_KhExample0001",
}

// Each event about a payment, refund or dispute is stored with these values. It needs no
// owner.
var storedPayments = []struct {
	system system
	name   string
	stage  int64
	want   any
}{
	{stripe, "payment", 3, entitlement.Payment{
		ID: "in_1QkhExample02", Subscription: "sub_1QkhExample0001", Amount: 1900, Currency: "eur",
		PeriodStart: parseTime("2026-04-01T10:00:00Z"), PeriodEnd: parseTime("2026-05-01T10:00:00Z"), UpdatedAt: parseTime("2026-04-01T10:00:05Z"),
	}},
	{stripe, "charge", 0, entitlement.Charge{ID: "pi_3QkhExample01", Payment: "in_1QkhExample02", UpdatedAt: parseTime("2026-04-01T10:00:05Z")}},
	{polar, "payment", 3, entitlement.Payment{
		ID: "0d0e0000-0000-4000-8000-000000000001", Subscription: "5b5c0000-0000-4000-8000-000000000001", Amount: 1900, Currency: "usd",
		PeriodStart: parseTime("2026-04-01T10:00:00.5Z"), PeriodEnd: parseTime("2026-05-01T10:00:00.5Z"), UpdatedAt: parseTime("2026-04-01T10:00:06.000003Z"),
	}},
	{dodo, "payment", 3, entitlement.Payment{
		ID: "pay_KhExample0001", Subscription: "sub_KhExample0001", Amount: 1900, Currency: "eur",
		PeriodStart: parseTime("2026-04-01T10:00:05.25Z"), UpdatedAt: parseTime("2026-04-01T10:00:12.004Z"),
	}},
	{stripe, "refund", 3, stripeReversal(entitlement.Refund, "re_3QkhExample01", 1900, false, "2026-04-15T12:00:00Z")},
	{stripe, "partial_refund", 3, stripeReversal(entitlement.Refund, "re_3QkhExample02", 500, false, "2026-04-15T11:00:00Z")},
	{stripe, "inquiry", 1, stripeReversal(entitlement.Dispute, "du_1QkhExample01", 0, true, "2026-04-16T05:00:00Z")},
	{stripe, "dispute", 4, stripeReversal(entitlement.Dispute, "du_1QkhExample01", 0, false, "2026-04-16T06:00:00Z")},
	{stripe, "dispute_won", 5, stripeReversal(entitlement.Dispute, "du_1QkhExample01", 0, true, "2026-06-01T06:00:00Z")},
	{stripe, "dispute_lost", 6, stripeReversal(entitlement.Dispute, "du_1QkhExample01", 0, false, "2026-06-01T06:00:00Z")},
	{polar, "refund", 3, entitlement.Reversal{
		ID: "4ef00000-0000-4000-8000-000000000001", Kind: entitlement.Refund, Payment: "0d0e0000-0000-4000-8000-000000000001",
		Amount: 1900, Currency: "usd", UpdatedAt: parseTime("2026-04-15T12:00:00.000007Z"),
	}},
	{polar, "partial_refund", 3, entitlement.Reversal{
		ID: "4ef00000-0000-4000-8000-000000000002", Kind: entitlement.Refund, Payment: "0d0e0000-0000-4000-8000-000000000001",
		Amount: 500, Currency: "usd", UpdatedAt: parseTime("2026-04-15T11:00:00.000007Z"),
	}},
	{dodo, "refund", 3, entitlement.Reversal{
		ID: "ref_KhExample0001", Kind: entitlement.Refund, Payment: "pay_KhExample0001", Whole: true, UpdatedAt: parseTime("2026-04-15T12:00:00.007Z"),
	}},
	{dodo, "partial_refund", 3, entitlement.Reversal{
		ID: "ref_KhExample0002", Kind: entitlement.Refund, Payment: "pay_KhExample0001",
		Amount: 500, Currency: "eur", UpdatedAt: parseTime("2026-04-15T11:00:00.007Z"),
	}},
	{dodo, "dispute", 4, entitlement.Reversal{
		ID: "dp_KhExample0001", Kind: entitlement.Dispute, Payment: "pay_KhExample0001", UpdatedAt: parseTime("2026-04-16T06:00:00.3Z"),
	}},
	{dodo, "dispute_won", 5, entitlement.Reversal{
		ID: "dp_KhExample0001", Kind: entitlement.Dispute, Payment: "pay_KhExample0001", Released: true, UpdatedAt: parseTime("2026-06-01T06:00:00Z"),
	}},
	{dodo, "dispute_lost", 6, entitlement.Reversal{
		ID: "dp_KhExample0001", Kind: entitlement.Dispute, Payment: "pay_KhExample0001", UpdatedAt: parseTime("2026-06-01T06:00:00Z"),
	}},
}

// stripeReversal returns a refund or dispute of the payloads' charge. A dispute has no amount.
func stripeReversal(kind entitlement.ReversalKind, id string, amount int64, released bool, updated string) entitlement.Reversal {
	v := entitlement.Reversal{ID: id, Kind: kind, Charge: "pi_3QkhExample01", Amount: amount, Released: released, UpdatedAt: parseTime(updated)}
	if kind == entitlement.Refund {
		v.Currency = "eur"
	}
	return v
}

func TestStoredPayments(t *testing.T) {
	t.Parallel()
	for _, c := range storedPayments {
		t.Run(c.system.name+"/"+c.name, func(t *testing.T) {
			t.Parallel()
			st := newStore()
			c.system.checkDelivery(t, c.system.handler(t, st, nil), c.name, 200)
			got := only[any](t, st)
			if _, version := ageOf(got); version>>48 != c.stage {
				t.Errorf("stage: got %d, want %d", version>>48, c.stage)
			}
			if want := stored(c.want, c.system.name, got); got != want {
				t.Errorf("got  %+v\nwant %+v", got, want)
			}
		})
	}
}

// stored returns the row with the given source, and with the version of got.
func stored(row any, source string, got any) any {
	_, version := ageOf(got)
	switch row := row.(type) {
	case entitlement.Payment:
		row.Source, row.Version = source, version
		return row
	case entitlement.Charge:
		row.Source = source
		return row
	case entitlement.Reversal:
		row.Source, row.Version = source, version
		return row
	}
	return row
}

// Every documented status, and an unknown one.
func TestStatuses(t *testing.T) {
	t.Parallel()
	const counts, released = "counts", "released" // of a reversal
	shared := map[string]entitlement.Status{
		"incomplete": ended, "incomplete_expired": ended, "trialing": trialing, "active": active,
		"past_due": pastDue, "canceled": ended, "unpaid": ended, "paused": ended, "Active": "", "pending": "",
	}
	for _, c := range []struct {
		system    system
		name, old string
		want      map[string]entitlement.Status
	}{
		{stripe, "purchase", `"status": "active"`, shared},
		{polar, "purchase", `"status": "active"`, shared},
		{dodo, "purchase", `"status": "active"`, map[string]entitlement.Status{
			"pending": ended, "active": active, "on_hold": pastDue, "paused": ended, "cancelled": ended,
			"failed": ended, "expired": ended, "past_due": pastDue, "canceled": "", "unpaid": "",
		}},
		{stripe, "dispute", `"status": "needs_response"`, map[string]entitlement.Status{
			"needs_response": counts, "under_review": counts, "lost": counts, "prevented": counts, "won": released,
			"warning_needs_response": released, "warning_under_review": released, "warning_closed": released, "charge_refunded": "",
		}},
		{dodo, "dispute", `"dispute_status": "dispute_opened"`, map[string]entitlement.Status{
			"dispute_opened": counts, "dispute_challenged": counts, "dispute_accepted": counts, "dispute_expired": counts,
			"dispute_lost": counts, "dispute_won": released, "dispute_cancelled": released, "won": "",
		}},
		{stripe, "refund", `"status": "succeeded"`, map[string]entitlement.Status{
			"pending": counts, "requires_action": counts, "succeeded": counts, "failed": released, "canceled": released, "refunded": "",
		}},
		{polar, "refund", `"status": "succeeded"`, map[string]entitlement.Status{
			"pending": counts, "succeeded": counts, "failed": released, "canceled": released, "refunded": "",
		}},
		{dodo, "refund", `"status": "succeeded"`, map[string]entitlement.Status{
			"pending": counts, "review": counts, "succeeded": counts, "failed": released, "refunded": "",
		}},
	} {
		field, _, _ := strings.Cut(c.old, ": ")
		for status, want := range c.want {
			st := newStore()
			body := edit(t, loadPayload(t, c.system, c.name), c.old, field+`: "`+status+`"`)
			got := c.system.deliver(c.system.handler(t, st, withOwner()), "e", body)
			switch {
			case want == "" && (got != 422 || len(st.rejected) != 1):
				t.Errorf("%s %s %s: got %d, want 422", c.system.name, c.name, status, got)
			case want != "" && (got != 200 || statusOf(only[any](t, st)) != want):
				t.Errorf("%s %s %s: got %d, %v, want %s", c.system.name, c.name, status, got, st.rows, want)
			}
		}
	}
}

// statusOf returns the status of a subscription, or whether a reversal counts or was
// released.
func statusOf(row any) entitlement.Status {
	switch row := row.(type) {
	case entitlement.Subscription:
		return row.Status
	case entitlement.Reversal:
		if row.Released {
			return "released"
		}
	}
	return "counts"
}

// E-03: the owner's plan after each event of a sequence.
func TestEventSequences(t *testing.T) {
	t.Parallel()
	type step struct {
		name, at string
		plan     string // "" for none
	}
	begin := []step{
		{"purchase", "2026-03-20T00:00:00Z", "pro"},
		{"renewal", "2026-04-20T00:00:00Z", "pro"},
		{"payment", "2026-04-20T00:00:00Z", "pro"},
	}
	for name, c := range map[string]struct {
		systems []system
		steps   []step
	}{
		"plan change": {systems, []step{{"plan_change", "2026-04-20T00:00:00Z", "team"}}},
		"cancelled for the end of the period": {systems, []step{
			{"cancel_at_period_end", "2026-04-30T00:00:00Z", "pro"}, {"cancel_at_period_end", "2026-05-04T10:00:01Z", ""},
		}},
		"cancelled at once": {systems, []step{{"cancel", "2026-04-20T00:00:00Z", ""}}},
		"refund": {systems, []step{
			{"refund", "2026-04-20T00:00:00Z", ""}, {"second_purchase", "2026-06-03T00:00:00Z", "team"},
		}},
		"partial refund": {systems, []step{{"partial_refund", "2026-04-20T00:00:00Z", "pro"}}},
		"past due": {systems, []step{
			{"past_due", "2026-04-03T00:00:00Z", "pro"}, {"past_due", "2026-04-04T11:00:00Z", ""},
			{"plan_change", "2026-04-20T00:00:00Z", "team"},
		}},
		"dispute lost": {[]system{stripe, dodo}, []step{
			{"dispute", "2026-04-20T00:00:00Z", ""}, {"dispute_lost", "2026-04-20T00:00:00Z", ""},
			{"second_purchase", "2026-06-03T00:00:00Z", "team"},
		}},
		"dispute won": {[]system{stripe, dodo}, []step{
			{"dispute", "2026-04-20T00:00:00Z", ""}, {"dispute_won", "2026-04-20T00:00:00Z", "pro"},
		}},
		"inquiry": {[]system{stripe}, []step{{"inquiry", "2026-04-20T00:00:00Z", "pro"}}},
	} {
		for _, s := range c.systems {
			st := newStore()
			h := s.handler(t, st, withOwner())
			if s.name == "stripe" {
				s.checkDelivery(t, h, "charge", 200)
			}
			steps := begin
			if name == "past due" {
				steps = begin[:1] // the renewal fails
			}
			for _, step := range append(steps[:len(steps):len(steps)], c.steps...) {
				s.checkDelivery(t, h, step.name, 200)
				if got := st.planAt(t, owner, step.at); got != step.plan {
					t.Errorf("%s, %s: after %s, at %s, got plan %q, want %q", s.name, name, step.name, step.at, got, step.plan)
				}
			}
		}
	}
}

// E-03: a refund or dispute ends the period that the payment paid for. It ends neither an
// earlier nor a later one.
func TestReversalOfOnePeriod(t *testing.T) {
	t.Parallel()
	next := map[string][]string{ // edits that turn April's renewal and payment into May's
		"stripe": {
			`_end": 1777629600`, `_end": 1780308000`, `_start": 1775037600`, `_start": 1777629600`,
			`"end": 1777629600`, `"end": 1780308000`, `"start": 1775037600`, `"start": 1777629600`,
			"1775037602", "1777629602", "1775037605", "1777629605", `"evt_`, `"evt_may_`, "in_1QkhExample02", "in_may", "pi_3QkhExample01", "pi_may",
		},
		"polar": {"2026-05-01T10", "2026-06-01T10", "2026-04-01T10", "2026-05-01T10", "0d0e0000", "0d0e0001"},
		"dodo":  {"2026-05-01T10", "2026-06-01T10", "2026-04-01T10", "2026-05-01T10", "pay_KhExample0001", "pay_may"},
	}
	for _, s := range systems {
		for _, reversal := range []string{"refund", "dispute_lost"} {
			if s.name == "polar" && reversal == "dispute_lost" {
				continue // it sends none
			}
			st := newStore()
			h := s.handler(t, st, nil)
			for _, name := range append(s.payment(), "renewal", reversal) {
				s.checkDelivery(t, h, name, 200)
			}
			if got := st.planAt(t, owner, "2026-04-20T00:00:00Z"); got != "" {
				t.Errorf("%s: after %s of the period: got plan %q, want none", s.name, reversal, got)
			}
			for _, name := range append(s.payment(), "renewal") {
				if got := s.deliver(h, "may_"+name, editAny(loadPayload(t, s, name), next[s.name])); got != 200 {
					t.Errorf("%s: May's %s: got %d, want 200", s.name, name, got)
				}
			}
			if got := st.planAt(t, owner, "2026-05-20T00:00:00Z"); got != "pro" {
				t.Errorf("%s: after %s of the period before: got plan %q, want pro", s.name, reversal, got)
			}
		}
	}
}

// E-03: partial refunds add up. The period ends when the refunds reach the whole amount. A
// refund that failed does not count.
func TestPartialRefundsAddUp(t *testing.T) {
	t.Parallel()
	for _, s := range systems {
		st := newStore()
		h := s.handler(t, st, nil)
		for _, name := range append(s.payment(), "renewal", "partial_refund") {
			s.checkDelivery(t, h, name, 200)
		}
		refund := func(id, amount, status string) int {
			body := loadPayload(t, s, "partial_refund")
			body = edit(t, edit(t, body, `"amount": 500`, `"amount": `+amount), `"status": "succeeded"`, `"status": "`+status+`"`)
			for _, used := range []string{"re_3QkhExample02", "4ef00000-0000-4000-8000-000000000002", "ref_KhExample0002"} {
				body = editAny(body, []string{used, used + id})
			}
			return s.deliver(h, id, editAny(body, []string{"evt_1QkhExample0011", "evt_" + id}))
		}
		for _, c := range []struct{ id, amount, status, plan string }{
			{"a", "1399", "succeeded", "pro"}, // 1,899 of 1,900
			{"b", "1400", "failed", "pro"},
			{"c", "1", "succeeded", ""},
		} {
			got := refund(c.id, c.amount, c.status)
			if plan := st.planAt(t, owner, "2026-04-20T00:00:00Z"); got != 200 || plan != c.plan {
				t.Errorf("%s: after a refund of %s that %s: got %d and plan %q, want %q", s.name, c.amount, c.status, got, plan, c.plan)
			}
		}
	}
}
