// Package entitlement says what a key's owner is allowed now: whether the plan
// includes API access, how many keys, which scopes. A host brings a [Provider];
// [Static], [Catalog] and [ProviderFunc] are ready-made ones; sqlprovider keeps
// plans in the host's own database, webhook fills that from a billing system, and
// httpprovider asks one.
package entitlement

import (
	"slices"
	"time"
)

// An Entitlement is what an owner's plan allows now. The zero value allows
// nothing.
type Entitlement struct {
	// Plan is the plan's name, for people; nothing is decided by it.
	Plan string

	// APIAccess is the gate: without it no key of the owner's is admitted and
	// none is created.
	APIAccess bool

	// MaxKeys is how many keys the owner may have. Zero leaves it to the
	// Manager's options; negative means no limit.
	MaxKeys int

	// Scopes are those that the plan covers; a key's other scopes are not
	// honoured. Nil means that the plan does not restrict scopes, empty but
	// not nil that it covers none.
	Scopes []string

	// Features are names that mean something to the host's handlers.
	Features []string

	// Limits are for a rate limiter.
	Limits Limits

	// ValidUntil is until when the owner has paid; zero means for ever. Grace
	// later the entitlement lapses. One that has lapsed is no entitlement.
	ValidUntil time.Time

	// Grace is how long the plan goes on after ValidUntil, as while a payment
	// that failed is tried again. Zero or less means not at all.
	Grace time.Duration
}

// Active reports whether e grants API access at the given instant.
func (e Entitlement) Active(at time.Time) bool {
	return e.APIAccess && (e.ValidUntil.IsZero() || at.Before(e.Lapses()))
}

// Lapses is when e ends, the grace included; zero means never.
func (e Entitlement) Lapses() time.Time {
	if e.ValidUntil.IsZero() {
		return time.Time{}
	}
	return e.ValidUntil.Add(max(e.Grace, 0))
}

// Covers reports whether the plan covers a scope.
func (e Entitlement) Covers(scope string) bool {
	return e.Scopes == nil || Grants(e.Scopes, scope)
}

// Has reports whether the plan includes a feature.
func (e Entitlement) Has(feature string) bool {
	return slices.Contains(e.Features, feature)
}

// Clone returns a copy that shares no slice with e.
func (e Entitlement) Clone() Entitlement {
	e.Scopes, e.Features = slices.Clone(e.Scopes), slices.Clone(e.Features)
	return e
}
