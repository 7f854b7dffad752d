// Package entitlement says what a key's owner is allowed now: whether the plan
// includes API access, how many keys, which scopes. A host brings a [Provider];
// [Static], [Catalog] and [ProviderFunc] are ready-made ones.
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

	// ValidUntil is when the entitlement lapses; zero means never. One that
	// has lapsed is no entitlement.
	ValidUntil time.Time
}

// Limits are how much an owner may use the API, over all keys together. Zero
// means that the plan does not say; negative means no limit.
type Limits struct {
	PerMinute int
	PerDay    int
}

// Active reports whether e grants API access at the given instant.
func (e Entitlement) Active(at time.Time) bool {
	return e.APIAccess && (e.ValidUntil.IsZero() || at.Before(e.ValidUntil))
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
