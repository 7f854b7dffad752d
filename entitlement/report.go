package entitlement

// A Report is what one event of a billing system says. Its parts are the Subscription, the
// Payment, the Charge and the Reversal. Each part that is set is a complete state. The
// Source of each part is that of the Report.
type Report struct {
	Source string // the billing system: 1 to 32 lower-case letters, digits, dashes and underscores
	Event  string // the event's ID; may be empty

	// Subscription has the Owner that the event names. The Owner is empty if the event
	// names none: Provider.Apply of package sqlprovider then determines it.
	Subscription *Subscription

	// Owners lists further owners of the Subscription that the event names. If they and
	// its Owner are not all the same, the report contradicts itself.
	Owners []string

	Payment  *Payment
	Charge   *Charge
	Reversal *Reversal

	// Snapshot reports whether the parts were read from the billing system's API instead of
	// an event. If so, a part that differs from the stored state only by UpdatedAt and
	// Version is not stored.
	Snapshot bool
}

// Applied is the result of storing a [Report].
type Applied struct {
	// Owners lists the owners whose entitlement may have changed.
	Owners []string

	// Changed reports whether any part of the Report was stored.
	Changed bool

	// Incomplete reports whether a part has no effect yet, since the payment or the
	// subscription to which it belongs is not stored.
	Incomplete bool
}
