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

const (
	// renewalLead is how long before a period the payment for it may be made.
	renewalLead = time.Hour

	// renewalLeeway is how long after a period its payment counts if the payment for
	// the next period is not known yet.
	renewalLeeway = time.Hour
)

// areTakenBack is the rule of what a refund or dispute ends. It reports whether the
// payments for the period of s at the instant are taken back: one is disputed, or all are
// refunded in full. After the last paid period, the payments for that period count, since
// a grace period continues it.
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

// takenBack returns how much of the payment was taken back, and whether it is disputed.
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
