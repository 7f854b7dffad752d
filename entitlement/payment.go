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
