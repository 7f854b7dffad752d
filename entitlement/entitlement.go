// Package entitlement defines what the owner of a key may use: whether the
// owner's plan includes API access, how many keys, and which scopes.
//
// A [Provider] returns the [Entitlement] of an owner. [Static],
// [Catalog.Provider] and [ProviderFunc] are simple Providers. Package
// sqlprovider keeps plans in the host's own database, and package webhook fills
// that database from a billing system's events. Package httpprovider asks a
// billing service over HTTP.
//
// [Catalog.Resolve] says what an owner's purchases grant: which of several subscriptions
// counts, and what a refund or dispute ends.
package entitlement

import (
	"slices"
	"time"
)

// An Entitlement holds what an owner's plan grants at the moment. The zero value
// grants nothing.
type Entitlement struct {
	// Plan is the plan's name, for display. No decision depends on it.
	Plan string

	// APIAccess reports whether the plan includes the API. If it is false, the
	// owner's keys are refused and the owner cannot create any.
	APIAccess bool

	// MaxKeys is how many keys the owner may have. Zero means the
	// MaxKeysPerOwner of the Manager's options; negative means no limit.
	MaxKeys int

	// Scopes lists the scopes that the plan covers, with wildcards as in
	// [Grants]. A key's other scopes are not honoured. Nil means that the plan
	// does not restrict scopes; empty but not nil means that it covers none.
	Scopes []string

	// Features are names for the host's handlers. This module does not
	// interpret them.
	Features []string

	// Rank orders the plans of a [Catalog]: 1 for the least, and a higher one for
	// a better plan. If several subscriptions of an owner give API access, the
	// plan with the highest Rank counts; see [Catalog.Resolve]. In a Catalog,
	// either all plans with APIAccess have a Rank or none has one. If none has one,
	// the subscription that began last counts, which is only wise if an owner
	// cannot have two subscriptions.
	Rank int

	// Limits are for a rate limiter.
	Limits Limits

	// ValidUntil is when the paid period ends, so it can be shown to the owner; zero
	// means never. The entitlement itself ends Grace later.
	ValidUntil time.Time

	// Grace is how long the plan continues after ValidUntil, while the payment for the
	// next period is late or is retried. Zero or less means not at all. In the result
	// of [Catalog.Resolve], it is zero if the subscription is not renewed. Otherwise it
	// may include one more hour, since the event of the renewal may be late.
	Grace time.Duration
}

// Active reports whether e grants API access at the given instant.
func (e Entitlement) Active(at time.Time) bool {
	return e.APIAccess && (e.ValidUntil.IsZero() || at.Before(e.EndsAt()))
}

// EndsAt returns the instant at which e ends, Grace included. Zero means never.
func (e Entitlement) EndsAt() time.Time {
	if e.ValidUntil.IsZero() {
		return time.Time{}
	}
	return e.ValidUntil.Add(max(e.Grace, 0))
}

// Covers reports whether the plan covers the scope.
func (e Entitlement) Covers(scope string) bool {
	return e.Scopes == nil || Grants(e.Scopes, scope)
}

// Has reports whether the plan includes the feature.
func (e Entitlement) Has(feature string) bool {
	return slices.Contains(e.Features, feature)
}

// Clone returns a copy that shares no slice with e.
func (e Entitlement) Clone() Entitlement {
	e.Scopes, e.Features = slices.Clone(e.Scopes), slices.Clone(e.Features)
	return e
}
