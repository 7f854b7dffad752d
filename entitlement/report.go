package entitlement

// A Report is what one event of a billing system says. Each part that is set is the
// complete state of its object. The Sources of the parts are set by the Report's.
type Report struct {
	Source string // the billing system: 1 to 32 lower-case letters, digits, dashes and underscores
	Event  string // the event's ID; may be empty

	// Subscription is a state of a subscription. Its Owner is the owner that the event
	// names, or empty if the event names none. See Provider.Apply of package sqlprovider
	// for who has the subscription then.
	Subscription *Subscription

	// Owners lists further owners that the event names. If they are not all the same, the
	// report contradicts itself.
	Owners []string

	Payment  *Payment
	Charge   *Charge
	Reversal *Reversal

	// Snapshot reports that the states were read from the billing system's API instead of
	// an event. A part that says the same as the stored state is then not stored.
	Snapshot bool
}

// Applied is the result of storing a [Report].
type Applied struct {
	// Owners lists the owners whose entitlement may have changed.
	Owners []string

	// Changed reports whether a part of the Report was stored.
	Changed bool
}
