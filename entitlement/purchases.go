package entitlement

import "slices"

// Purchases holds what an owner has bought, and what the host has changed about it.
// [Catalog.Resolve] returns what it grants.
type Purchases struct {
	Subscriptions []Subscription

	// Payments and Reversals hold one state of each payment, refund and dispute of the
	// Subscriptions.
	Payments  []Payment
	Reversals []Reversal

	Holds    []Hold
	Override Override
}

// hasEnded reports whether s grants nothing, even if it is paid for. A PastDue subscription
// without a PeriodEnd would otherwise grant access forever.
func (p Purchases) hasEnded(s Subscription) bool {
	granted := s.Status == Active || s.Status == Trialing || s.Status == PastDue && !s.PeriodEnd.IsZero()
	return !granted || slices.ContainsFunc(p.Holds, func(h Hold) bool { return h.ends(s) })
}
