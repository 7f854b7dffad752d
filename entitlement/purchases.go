package entitlement

import (
	"slices"
	"time"
)

// Purchases holds what an owner has bought, and what the host has changed about it.
// [Catalog.Resolve] returns what it grants.
type Purchases struct {
	Subscriptions []Subscription

	// Payments and Reversals belong to the Subscriptions, with one state of each.
	Payments  []Payment
	Reversals []Reversal

	Holds    []Hold
	Override Override
}

const (
	// renewalLead is how long before a period the payment for it may be made.
	renewalLead = time.Hour

	// renewalLeeway is how long after a period its payment counts if the payment for
	// the next period is not known yet.
	renewalLeeway = time.Hour
)

// hasEnded reports whether s grants nothing at the instant. A PastDue subscription
// without a PeriodEnd would otherwise grant access forever.
func (p Purchases) hasEnded(s Subscription, at time.Time) bool {
	granted := s.Status == Active || s.Status == Trialing || s.Status == PastDue && !s.PeriodEnd.IsZero()
	return !granted || slices.ContainsFunc(p.Holds, func(h Hold) bool { return h.ends(s) }) || p.areTakenBack(s, at)
}

// areTakenBack reports whether the payments for the period at the instant are taken back:
// one is disputed, or all are refunded. After the last paid period, that period counts,
// since a grace period continues it.
func (p Purchases) areTakenBack(s Subscription, at time.Time) bool {
	if !s.PeriodEnd.IsZero() && !at.Before(s.PeriodEnd) {
		at = s.PeriodEnd.Add(-time.Microsecond)
	}
	paid := p.paymentsFor(s, at)
	if len(paid) == 0 {
		paid = p.paymentsFor(s, at.Add(-renewalLeeway))
	}
	paid = slices.DeleteFunc(paid, func(payment Payment) bool { return payment.Amount <= 0 })
	refunded := 0
	for _, payment := range paid {
		switch back, disputed := p.takenBack(payment); {
		case disputed:
			return true
		case back >= payment.Amount:
			refunded++
		}
	}
	return len(paid) > 0 && refunded == len(paid)
}

// paymentsFor returns the payments for the period of s at the instant. Payments without
// a PeriodEnd are for the current period if they were made in it. If none was, the last
// one counts.
func (p Purchases) paymentsFor(s Subscription, at time.Time) (paid []Payment) {
	var current []Payment
	var last Payment
	for _, payment := range p.Payments {
		switch {
		case payment.Source != s.Source || payment.Subscription != s.ID || payment.PeriodStart.After(at):
		case at.Before(payment.PeriodEnd):
			paid = append(paid, payment)
		case !payment.PeriodEnd.IsZero():
		case !s.PeriodStart.IsZero() && !payment.PeriodStart.Before(s.PeriodStart.Add(-renewalLead)):
			current = append(current, payment)
		case last.ID == "" || last.PeriodStart.Before(payment.PeriodStart):
			last = payment
		}
	}
	if len(current) == 0 && last.ID != "" {
		current = append(current, last)
	}
	return append(paid, current...)
}

// takenBack returns how much of the payment was refunded, and whether it is disputed.
func (p Purchases) takenBack(payment Payment) (amount int64, disputed bool) {
	for _, r := range p.Reversals {
		if r.Source != payment.Source || r.Payment != payment.ID {
			continue
		}
		back := r.takesBack(payment)
		amount += min(back, payment.Amount-min(amount, payment.Amount)) // cannot overflow
		disputed = disputed || r.Kind == Dispute && !r.Released
	}
	return amount, disputed
}
