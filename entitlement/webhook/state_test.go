package webhook_test

import (
	"net/http"
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
	{stripe, "trial", "sub_1QkhExample0001", "pro", trialing, stripeBegan, "", "2026-03-15T11:00:00Z", stripeBegan, 2},
	{stripe, "purchase", "sub_1QkhExample0001", "pro", active, stripeBegan, stripeBegan, "2026-04-01T11:00:00Z", stripeBegan, 3},
	{stripe, "purchase_2024", "sub_1QkhExample0001", "pro", active, stripeBegan, stripeBegan, "2026-04-01T11:00:00Z", stripeBegan, 3},
	{stripe, "renewal", "sub_1QkhExample0001", "pro", active, stripeBegan, "2026-04-01T10:00:00Z", "2026-05-01T11:00:00Z", "2026-04-01T10:00:02Z", 3},
	{stripe, "plan_change", "sub_1QkhExample0001", "team", active, stripeBegan, "2026-04-01T10:00:00Z", "2026-05-01T11:00:00Z", "2026-04-10T09:30:00Z", 3},
	{stripe, "cancel_at_period_end", "sub_1QkhExample0001", "pro", active, stripeBegan, "2026-04-01T10:00:00Z", "2026-05-01T10:00:00Z", "2026-04-12T08:00:00Z", 3},
	{stripe, "cancel", "sub_1QkhExample0001", "pro", ended, stripeBegan, "", "2026-04-14T08:00:00Z", "2026-04-14T08:00:00Z", 6},
	{stripe, "past_due", "sub_1QkhExample0001", "pro", pastDue, stripeBegan, "", "2026-04-01T10:00:00Z", "2026-04-01T11:01:01Z", 4},
	{stripe, "unpaid", "sub_1QkhExample0001", "pro", ended, stripeBegan, "", "2026-04-22T10:00:00Z", "2026-04-22T10:00:00Z", 5},

	{polar, "incomplete", "5b5c0000-0000-4000-8000-000000000001", "pro", ended, otherBegan, "", "2026-03-01T10:00:00.6Z", "2026-03-01T10:00:00.6Z", 1},
	{polar, "trial", "5b5c0000-0000-4000-8000-000000000001", "pro", trialing, otherBegan, "", "2026-03-15T11:00:00Z", "2026-03-01T10:00:02.417251Z", 2},
	{polar, "purchase", "5b5c0000-0000-4000-8000-000000000001", "pro", active, otherBegan, "2026-03-01T10:00:00.5Z", "2026-04-01T11:00:00.5Z", "2026-03-01T10:00:02.417251Z", 3},
	{polar, "renewal", "5b5c0000-0000-4000-8000-000000000001", "pro", active, otherBegan, "2026-04-01T10:00:00.5Z", "2026-05-01T11:00:00.5Z", "2026-04-01T10:00:05.000001Z", 3},
	{polar, "plan_change", "5b5c0000-0000-4000-8000-000000000001", "team", active, otherBegan, "2026-04-01T10:00:00.5Z", "2026-05-01T11:00:00.5Z", "2026-04-10T09:30:00.000001Z", 3},
	{polar, "cancel_at_period_end", "5b5c0000-0000-4000-8000-000000000001", "pro", active, otherBegan, "2026-04-01T10:00:00.5Z", "2026-05-01T10:00:00.5Z", "2026-04-12T08:00:00.000001Z", 3},
	{polar, "cancel", "5b5c0000-0000-4000-8000-000000000001", "pro", ended, otherBegan, "", "2026-04-14T08:00:00.000001Z", "2026-04-14T08:00:00.000001Z", 6},
	{polar, "past_due", "5b5c0000-0000-4000-8000-000000000001", "pro", pastDue, otherBegan, "", "2026-04-01T10:00:00.5Z", "2026-04-01T10:01:07.000009Z", 4},
	{polar, "unpaid", "5b5c0000-0000-4000-8000-000000000001", "pro", ended, otherBegan, "", "2026-04-22T10:00:00Z", "2026-04-22T10:00:00Z", 5},

	{dodo, "pending", "sub_KhExample0001", "pro", ended, otherBegan, "", "2026-03-01T10:00:00.2Z", "2026-03-01T10:00:00.2Z", 1},
	{dodo, "trial", "sub_KhExample0001", "pro", trialing, otherBegan, "", "2026-03-15T11:00:00.120034Z", "2026-03-01T10:00:09.854Z", 2},
	{dodo, "purchase", "sub_KhExample0001", "pro", active, otherBegan, otherBegan, "2026-04-01T11:00:00.120034Z", "2026-03-01T10:00:09.854Z", 3},
	{dodo, "renewal", "sub_KhExample0001", "pro", active, otherBegan, "2026-04-01T10:00:00.120034Z", "2026-05-01T11:00:00.120034Z", "2026-04-01T10:02:11.003Z", 3},
	{dodo, "plan_change", "sub_KhExample0001", "team", active, otherBegan, "2026-04-01T10:00:00.120034Z", "2026-05-01T11:00:00.120034Z", "2026-04-10T09:30:00.001Z", 3},
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
				Owner: owner, ID: c.id, Plan: c.plan, Status: c.status,
				StartedAt: parseTime(c.since), PeriodEnd: parseTime(c.until), UpdatedAt: parseTime(c.updated), Version: got.Version,
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

// E-03: after a trial whose first payment failed, nothing was paid for.
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

// Each event about a refund or dispute is stored with these values.
var storedHolds = []struct {
	system               system
	name, id             string
	released             bool
	since, paid, updated string // paid is when the last paid period began
	stage                int64
	noOwner              bool // the event does not name the owner
}{
	{stripe, "refund", "refund:ch_3QkhExample01", false, "2026-04-15T12:00:00Z", "2026-04-01T12:00:00Z", "2026-04-15T12:00:00Z", 4, true},
	{stripe, "inquiry", "dispute:du_1QkhExample01", true, "2026-04-16T06:00:00Z", "", "2026-04-16T05:00:00Z", 1, true},
	{stripe, "dispute", "dispute:du_1QkhExample01", false, "2026-04-16T06:00:00Z", "", "2026-04-16T06:00:00Z", 4, true},
	{stripe, "dispute_won", "dispute:du_1QkhExample01", true, "2026-04-16T06:00:00Z", "", "2026-06-01T06:00:00Z", 5, true},
	{stripe, "dispute_lost", "dispute:du_1QkhExample01", false, "2026-04-16T06:00:00Z", "", "2026-06-01T06:00:00Z", 6, true},
	{polar, "refund", "refund:0d0e0000-0000-4000-8000-000000000001", false, "2026-04-15T12:00:00.000007Z", "2026-04-01T11:00:05Z", "2026-04-15T12:00:00.000007Z", 4, false},
	{dodo, "refund", "refund:pay_KhExample0001", false, "2026-04-15T12:00:00.007Z", "2026-04-15T12:00:00.007Z", "2026-04-15T12:00:00.007Z", 4, false},
	{dodo, "dispute", "dispute:dp_KhExample0001", false, "2026-04-16T06:00:00.25Z", "", "2026-04-16T06:00:00.3Z", 4, true},
	{dodo, "dispute_won", "dispute:dp_KhExample0001", true, "2026-04-16T06:00:00.25Z", "", "2026-06-01T06:00:00Z", 5, true},
	{dodo, "dispute_lost", "dispute:dp_KhExample0001", false, "2026-04-16T06:00:00.25Z", "", "2026-06-01T06:00:00Z", 6, true},
}

func TestStoredHolds(t *testing.T) {
	t.Parallel()
	for _, c := range storedHolds {
		t.Run(c.system.name+"/"+c.name, func(t *testing.T) {
			t.Parallel()
			st := newStore()
			if c.noOwner {
				c.system.checkDelivery(t, c.system.handler(t, st, nil), c.name, 422)
				c.system.checkDelivery(t, c.system.handler(t, st, withOwner()), c.name, 200)
			} else {
				c.system.checkDelivery(t, c.system.handler(t, st, nil), c.name, 200)
			}
			got := only[entitlement.Hold](t, st)
			if got.Version>>48 != c.stage {
				t.Errorf("stage: got %d, want %d", got.Version>>48, c.stage)
			}
			want := entitlement.Hold{
				Owner: owner, ID: c.id, StartedAt: parseTime(c.since), Released: c.released, UpdatedAt: parseTime(c.updated), Version: got.Version,
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

// Every documented status, and an unknown one.
func TestStatuses(t *testing.T) {
	t.Parallel()
	const held, released = "held", "released"
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
			"failed": ended, "expired": ended, "canceled": "", "past_due": "",
		}},
		{stripe, "dispute", `"status": "needs_response"`, map[string]entitlement.Status{
			"needs_response": held, "under_review": held, "lost": held, "prevented": held, "won": released,
			"warning_needs_response": released, "warning_under_review": released, "warning_closed": released, "charge_refunded": "",
		}},
		{dodo, "dispute", `"dispute_status": "dispute_opened"`, map[string]entitlement.Status{
			"dispute_opened": held, "dispute_challenged": held, "dispute_accepted": held, "dispute_expired": held,
			"dispute_lost": held, "dispute_won": released, "dispute_cancelled": released, "won": "",
		}},
		{polar, "refund", `"status": "refunded"`, map[string]entitlement.Status{"refunded": held, "paid": "", "void": ""}},
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

// statusOf returns the status of a subscription, or whether a hold is held or released.
func statusOf(row any) entitlement.Status {
	switch row := row.(type) {
	case entitlement.Subscription:
		return row.Status
	case entitlement.Hold:
		if row.Released {
			return "released"
		}
	}
	return "held"
}

// The owner's plan after each event of a sequence.
func TestEventSequences(t *testing.T) {
	t.Parallel()
	type step struct {
		name, at string
		plan     string // "" for none
	}
	begin := []step{
		{"purchase", "2026-03-20T00:00:00Z", "pro"},
		{"renewal", "2026-04-20T00:00:00Z", "pro"},
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
	} {
		for _, s := range c.systems {
			st := newStore()
			h := s.handler(t, st, withOwner())
			steps := begin
			if name == "past due" {
				steps = begin[:1] // the renewal fails
			}
			for _, step := range append(steps[:len(steps):len(steps)], c.steps...) {
				s.checkDelivery(t, h, step.name, 200)
				got := st.entitlement(t, owner, parseTime(step.at))
				if got.Active(parseTime(step.at)) != (step.plan != "") || step.plan != "" && got.Plan != step.plan {
					t.Errorf("%s, %s: after %s, at %s, got %+v, want plan %q", s.name, name, step.name, step.at, got, step.plan)
				}
			}
		}
	}
}

// E-12: a refund ends the period that the payment paid for, and earlier ones, but not
// those that were paid for later.
func TestRefundOfOnePeriod(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		system system
		march  []string // turns April's refund into one of March's payment; Dodo does not say when that was
		may    []string // turns April's renewal into May's
	}{
		{stripe, []string{"1775041200", "1772359205"}, []string{
			`_end": 1777629600`, `_end": 1780308000`, `_start": 1775037600`, `_start": 1777629600`,
			"1775037602", "1777629602", `"evt_`, `"evt_may_`,
		}},
		{polar, []string{"2026-04-01T10:00:05Z", "2026-03-01T10:00:01Z"}, []string{
			"2026-05-01T10", "2026-06-01T10", "2026-04-01T10", "2026-05-01T10",
		}},
		{dodo, nil, []string{"2026-05-01T10", "2026-06-01T10", "2026-04-01T10", "2026-05-01T10"}},
	} {
		edited := func(name string, pairs []string) []byte {
			body := loadPayload(t, c.system, name)
			for i := 0; i < len(pairs); i += 2 {
				body = edit(t, body, pairs[i], pairs[i+1])
			}
			return body
		}
		h, access := c.system.newAccess(t)
		if c.march != nil {
			c.system.checkDelivery(t, h, "renewal", 200)
			c.system.deliver(h, "march", edited("refund", c.march))
			if !access("2026-04-20T00:00:00Z") {
				t.Errorf("%s: after a refund of the period before: got no access", c.system.name)
			}
		}
		h, access = c.system.newAccess(t)
		c.system.checkDelivery(t, h, "renewal", 200)
		c.system.checkDelivery(t, h, "refund", 200)
		if access("2026-04-20T00:00:00Z") {
			t.Errorf("%s: after a refund of the period: got access", c.system.name)
		}
		if c.system.name != "polar" { // a dispute also ends renewals
			disputed, hasAccess := c.system.newAccess(t)
			c.system.checkDelivery(t, disputed, "renewal", 200)
			c.system.checkDelivery(t, disputed, "dispute_lost", 200)
			c.system.deliver(disputed, "may", edited("renewal", c.may))
			if hasAccess("2026-05-20T00:00:00Z") {
				t.Errorf("%s: after a renewal of a disputed subscription: got access", c.system.name)
			}
		}
		c.system.deliver(h, "may", edited("renewal", c.may))
		if !access("2026-05-20T00:00:00Z") {
			t.Errorf("%s: after a renewal that followed the refund: got no access", c.system.name)
		}
	}
}

// newAccess returns a handler and a function that reports whether the owner has access at a
// given time.
func (s system) newAccess(t *testing.T) (h http.Handler, access func(time string) bool) {
	st := newStore()
	return s.handler(t, st, withOwner()), func(time string) bool { return st.entitlement(t, owner, parseTime(time)).Active(parseTime(time)) }
}
