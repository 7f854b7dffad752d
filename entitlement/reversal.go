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

	// A Dispute takes back the whole payment, for as long as it is open and when it is
	// lost.
	Dispute ReversalKind = "dispute"
)

// A Reversal takes a [Payment] back: a refund or a dispute. It is always the complete
// state, so a newer one can replace an older one.
type Reversal struct {
	Source string
	ID     string // unique for the Source and the Kind
	Kind   ReversalKind

	// Payment and Charge are the ID of the payment, or of its [Charge]. Exactly one of
	// them is set in a [Report].
	Payment, Charge string

	// Whole reports whether the whole payment is taken back, and the Amount does not count. A
	// Dispute is always whole.
	Whole bool

	// Amount and Currency are those of a refund, as in [Payment]. An amount in another
	// currency than the payment's is not added up.
	Amount   int64
	Currency string

	Released  bool // it takes nothing back: the refund failed, or the dispute was won
	UpdatedAt time.Time
	Version   int64
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
