// Package entitlement says what a key's owner is allowed now: whether the plan
// includes API access, how many keys, which scopes. A host brings a [Provider];
// [Static], [Catalog] and [ProviderFunc] are ready-made ones.
package entitlement

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"
)

// ErrNone is returned by a Provider when the owner has no entitlement at all:
// never subscribed, or the subscription ended. It is an answer, not a failure.
var ErrNone = errors.New("entitlement: none")

// A Provider knows what owners are entitled to.
//
// It is asked when a key is created and when one is validated, through a cache,
// so it may go to a database or a billing service. [ErrNone] means that the
// owner is entitled to nothing. Any other error means that it could not be
// found out, which is a different thing: the caller is told to try again, not
// to upgrade.
//
// Entitlement may be called from many goroutines. It must not change an
// Entitlement's slices after returning it.
type Provider interface {
	Entitlement(ctx context.Context, owner string) (Entitlement, error)
}

// The ProviderFunc type lets a function be a [Provider].
type ProviderFunc func(ctx context.Context, owner string) (Entitlement, error)

// Entitlement calls f.
func (f ProviderFunc) Entitlement(ctx context.Context, owner string) (Entitlement, error) {
	return f(ctx, owner)
}

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

// Grants reports whether one of the granted scopes is the wanted one or a
// wildcard that covers it: "*" covers every scope, and a "*" at the end behind
// ":", "." or "/" covers whatever begins with what stands before it, so that
// "reports:*" covers "reports:read". Elsewhere "*" has no meaning.
func Grants(granted []string, want string) bool {
	for _, g := range granted {
		if g == want || g == "*" {
			return true
		}
		stem, ok := strings.CutSuffix(g, "*")
		if ok && stem != "" && strings.IndexByte(":./", stem[len(stem)-1]) >= 0 && strings.HasPrefix(want, stem) {
			return true
		}
	}
	return false
}
