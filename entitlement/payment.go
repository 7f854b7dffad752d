package entitlement

import "time"

// A Payment is money that was paid for a period of a [Subscription]. A [Reversal] takes it
// back. Like a Subscription, a Payment is always the complete state, so a newer one can
// replace an older one.
type Payment struct {
	Source       string // the billing system; see [Subscription]
	ID           string // of Stripe's invoice, Polar's order or Dodo's payment; unique for the Source
	Subscription string // the ID of the subscription

	// Amount is what was paid, in the smallest unit of the Currency, such as cents. It is
	// not negative. An amount of zero, for example after a discount of 100 %, cannot be
	// taken back.
	Amount   int64
	Currency string // three lower-case letters, such as "usd"

	PeriodStart time.Time // when the paid period begins
	PeriodEnd   time.Time // when it ends; zero means when the period of the next payment begins
	UpdatedAt   time.Time // when this state began, by the billing system's clock

	// Version orders states with the same UpdatedAt: the higher one is newer.
	Version int64
}

// A Charge is another ID of a [Payment], by which refunds and disputes name the payment.
// Stripe charges a card for an invoice, and refunds the charge. Polar and Dodo have no
// charges.
type Charge struct {
	Source    string    // the billing system
	ID        string    // of Stripe's payment intent or, without one, of its charge; unique for the Source
	Payment   string    // the ID of the payment
	UpdatedAt time.Time // by the billing system's clock
}
