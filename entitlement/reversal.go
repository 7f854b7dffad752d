package entitlement

import (
	"slices"
	"time"
)

// A ReversalKind tells refunds from disputes.
type ReversalKind string

const (
	// A Refund takes back its amount. Refunds of a payment add up.
	Refund ReversalKind = "refund"

	// A Dispute takes back the whole payment while the dispute is open, and for good if it
	// is lost.
	Dispute ReversalKind = "dispute"
)

// A Reversal takes a [Payment] back: a refund or a dispute. [Catalog.Resolve] says what
// that ends. A Reversal is always the complete state, so a newer one can replace an older
// one.
type Reversal struct {
	Source string // the billing system
	ID     string // unique for the Source and the Kind
	Kind   ReversalKind

	// Payment is the ID of the payment, and Charge that of its [Charge]. A [Report] sets
	// exactly one of them. In [Purchases], Payment is always set.
	Payment, Charge string

	// Whole reports whether the whole payment is taken back. The Amount then does not
	// count. A Dispute counts as whole.
	Whole bool

	// Amount and Currency are those of a refund, as in [Payment]. An amount in another
	// currency than that of the payment does not count.
	Amount   int64
	Currency string

	Released  bool      // nothing is taken back: the refund failed, or the dispute was won
	UpdatedAt time.Time // when this state began, by the billing system's clock

	// Version orders states with the same UpdatedAt: the higher one is newer.
	Version int64
}

// takesBack returns how much of the payment the reversal takes back.
func (r Reversal) takesBack(p Payment) int64 {
	switch {
	case r.Released:
		return 0
	case r.Whole || r.Kind == Dispute:
		return p.Amount
	case r.Currency == p.Currency:
		return r.Amount
	}
	return 0
}

// renewalLead is how long before a period the payment for it may be made.
const renewalLead = time.Hour

// A ledger has the payments of each subscription, and the reversals of each payment.
type ledger struct {
	payments  map[stateKey][]Payment
	reversals map[stateKey][]Reversal
}

func (p Purchases) ledger() ledger {
	l := ledger{map[stateKey][]Payment{}, map[stateKey][]Reversal{}}
	for _, payment := range p.Payments {
		of := stateKey{payment.Source, payment.Subscription}
		l.payments[of] = append(l.payments[of], payment)
	}
	for _, r := range p.Reversals {
		of := stateKey{r.Source, r.Payment}
		l.reversals[of] = append(l.reversals[of], r)
	}
	return l
}

// areTakenBack is the rule of what a refund or dispute ends. It reports whether the
// payments for the period of s at the instant are taken back: one is disputed, or all are
// refunded in full. After the last paid period, the payments for that period count, since
// a grace period continues it. In the leeway of a renewal, the payment for the next period
// counts if it is known.
func (l ledger) areTakenBack(s Subscription, at time.Time) bool {
	if last := s.PeriodEnd.Add(s.leeway()); !s.PeriodEnd.IsZero() && !at.Before(last) {
		at = last.Add(-time.Microsecond)
	}
	paid := l.paymentsFor(s, at)
	if len(paid) == 0 {
		paid = l.paymentsFor(s, at.Add(-renewalLeeway))
	}
	paid = slices.DeleteFunc(paid, func(payment Payment) bool { return payment.Amount <= 0 })
	refunded := 0
	for _, payment := range paid {
		switch back, disputed := l.takenBack(payment); {
		case disputed:
			return true
		case back >= payment.Amount:
			refunded++
		}
	}
	return len(paid) > 0 && refunded == len(paid)
}

// paymentsFor returns the payments for the period of s at the instant. Payments without
// a PeriodEnd are for the current period if they were made in it. If there is no payment
// for the current period, the last one counts unless it has a PeriodEnd. A change of the
// plan may begin a new period within an earlier one; then the payments for the new one count.
func (l ledger) paymentsFor(s Subscription, at time.Time) (paid []Payment) {
	var last Payment
	for _, payment := range l.payments[s.key()] {
		if payment.PeriodStart.After(at) {
			continue
		}
		if at.Before(payment.PeriodEnd) || payment.PeriodEnd.IsZero() && s.isCurrent(payment) {
			paid = append(paid, payment)
		}
		if last.ID == "" || last.PeriodStart.Before(payment.PeriodStart) {
			last = payment
		}
	}
	if len(paid) == 0 && last.ID != "" && last.PeriodEnd.IsZero() {
		return []Payment{last}
	}
	if slices.ContainsFunc(paid, s.isCurrent) { // an earlier period was cut off
		paid = slices.DeleteFunc(paid, func(payment Payment) bool { return !s.isCurrent(payment) })
	}
	return paid
}

// isCurrent reports whether the payment was made for the current period of s or a later one.
func (s Subscription) isCurrent(payment Payment) bool {
	return !s.PeriodStart.IsZero() && !payment.PeriodStart.Before(s.PeriodStart.Add(-renewalLead))
}

// takenBack returns how much of the payment was taken back, and whether it is disputed.
func (l ledger) takenBack(payment Payment) (amount int64, disputed bool) {
	for _, r := range l.reversals[stateKey{payment.Source, payment.ID}] {
		back := r.takesBack(payment)
		amount += min(back, payment.Amount-min(amount, payment.Amount)) // cannot overflow
		disputed = disputed || r.Kind == Dispute && !r.Released
	}
	return amount, disputed
}
