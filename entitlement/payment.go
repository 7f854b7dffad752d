package entitlement

import "time"

// A Payment is money that was paid for a period of a [Subscription]. Like a
// Subscription, it is always the complete state, so a newer one can replace an older one.
type Payment struct {
	Source       string // the billing system; see [Subscription]
	ID           string // such as Stripe's invoice, Polar's order or Dodo's payment
	Subscription string // the ID of the subscription

	// Amount is what was paid, in the smallest unit of the Currency, such as cents.
	// A payment of zero, after a discount of 100 %, says that its period is free, so nothing
	// can be taken back.
	Amount   int64
	Currency string // three lower-case letters, such as "usd"

	PeriodStart time.Time // when the paid period begins
	PeriodEnd   time.Time // when it ends; zero means when the next payment's begins
	UpdatedAt   time.Time // when this state began, by the billing system's clock

	// Version orders states with the same UpdatedAt: the higher one is newer.
	Version int64
}

// A Charge is another ID of a [Payment], by which refunds and disputes name it. Stripe
// charges a card for an invoice, and refunds the charge. Other billing systems need none.
type Charge struct {
	Source    string
	ID        string
	Payment   string // the ID of the payment
	UpdatedAt time.Time
}

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
