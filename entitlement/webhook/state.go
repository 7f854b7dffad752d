package webhook

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/keyhatch/keyhatch/entitlement"
)

// A state is the state of a subscription in an event, with the billing system's IDs of
// the products that were bought.
type state struct {
	id          string
	status      entitlement.Status
	stage       stage
	startedAt   time.Time
	periodStart time.Time // of the last paid period
	periodEnd   time.Time
	ends        bool // at periodEnd: it is not renewed

	// items lists, for each product that was bought, its known IDs.
	items [][]string
}

// A stage orders events of the same instant: the one with the higher stage
// counts. The stages are those of a subscription. A payment is active. A refund is
// incomplete, then active, and ended if it has failed. A dispute is incomplete as an
// inquiry, then pastDue, and ended if it was won or deleted if it was lost.
type stage int64

const (
	incomplete stage = 1 + iota
	trialing
	active
	pastDue
	ended
	deleted
)

// version orders events of the same instant: by the stage, and then by a hash
// of the event's ID, which is arbitrary but the same on every instance.
func version(s stage, event string) int64 {
	hash := sha256.Sum256([]byte(event))
	return int64(s)<<48 | int64(binary.BigEndian.Uint64(hash[:])>>16)
}

// endedState returns a state that grants nothing.
func endedState(s stage, at time.Time) state {
	return state{status: entitlement.Ended, stage: s, periodEnd: at}
}

// sameInstant is the maximum difference between two times of an event that mean the same instant,
// such as the end of the last period and the end of the subscription.
const sameInstant = time.Hour

// activeState returns a paid period or, at the stage trialing, a trial. If ends is true, the
// subscription ends with the period. If end is not zero, the subscription ends at that instant,
// which may be in a later period.
func activeState(at stage, from, to time.Time, ends bool, end time.Time) state {
	if !end.IsZero() && !end.After(to.Add(sameInstant)) {
		to, ends = end, true
	}
	status := entitlement.Active
	if at == trialing {
		status, from = entitlement.Trialing, time.Time{} // nothing was paid
	}
	return state{status: status, stage: at, periodStart: from, periodEnd: to, ends: ends}
}

// pastDueState returns a state whose last payment failed. If nothing was paid before,
// the subscription is still a trial, which never replaces a paid subscription.
func pastDueState(until time.Time, neverPaid bool) state {
	s := state{status: entitlement.PastDue, stage: pastDue, periodEnd: until}
	if neverPaid {
		s.status = entitlement.Trialing
	}
	return s
}

// newPayment returns a payment for the event's subscription.
func newPayment(e Event, amount int64, currency string) *entitlement.Payment {
	return &entitlement.Payment{
		ID: e.Payment, Subscription: e.Subscription, Amount: amount, Currency: currency,
		UpdatedAt: e.At, Version: version(active, e.ID),
	}
}

// newReversal returns a refund or dispute of the event's payment.
func newReversal(e Event, kind entitlement.ReversalKind, id string) *entitlement.Reversal {
	return &entitlement.Reversal{ID: id, Kind: kind, Payment: e.Payment, UpdatedAt: e.At, Version: version(active, e.ID)}
}

// failUnknown records the fault that a status is unknown.
func failUnknown(d fields, name string) state {
	d.fail(name, "a known status")
	return state{}
}

// earliest returns the first of the times that are not zero.
func earliest(times ...time.Time) (first time.Time) {
	for _, t := range times {
		if first.IsZero() || !t.IsZero() && t.Before(first) {
			first = t
		}
	}
	return first
}

// subscription returns the state as a Subscription of the host's plan.
func (p products) subscription(e Event, s state) (entitlement.Subscription, error) {
	sub := entitlement.Subscription{
		ID: s.id, Status: s.status, StartedAt: s.startedAt, PeriodStart: s.periodStart, PeriodEnd: s.periodEnd,
		CancelAtPeriodEnd: s.ends, UpdatedAt: e.At, Version: version(s.stage, e.ID),
	}
	plan, err := p.planOf(s.items)
	granted := s.status != entitlement.Ended
	switch {
	case err != nil && granted:
		return sub, &rejection{err}
	case err != nil: // a state that grants nothing needs no plan, and its product may have none any more
	case granted && plan == "":
		sub.Status = entitlement.Ended
	default:
		sub.Plan = plan
	}
	return sub, nil
}

// products maps the ID of a product or price to a plan.
type products map[string]string

// planOf returns the plan of the items. It returns "" if no item has a plan, and an error
// if a product is unknown or two items have different plans.
func (p products) planOf(items [][]string) (plan string, err error) {
	for _, ids := range items {
		one, ok := p.find(ids)
		switch {
		case !ok:
			return "", fmt.Errorf("no plan is configured for any of %q", ids)
		case plan != "" && one != "" && one != plan:
			return "", fmt.Errorf("the items have two plans, %q and %q", plan, one)
		case one != "":
			plan = one
		}
	}
	return plan, nil
}

func (p products) find(ids []string) (plan string, ok bool) {
	for _, id := range ids {
		if plan, ok = p[id]; ok {
			return plan, true
		}
	}
	return "", false
}
