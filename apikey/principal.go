package apikey

import (
	"context"
	"slices"

	"github.com/keyhatch/keyhatch/entitlement"
)

// A Principal is who a request is, after validation: the key that was
// presented and what its owner's plan allows.
//
// One Principal is shared by all requests with the same key, so treat it and
// the slices and maps in it as read-only. Key.LastUsedAt is as of the last
// look-up in the store.
type Principal struct {
	Key         Key
	Entitlement entitlement.Entitlement

	// What Allows decides by, out of reach of a handler that changes the
	// exported fields.
	scopes, covered []string
	valid           bool
}

func newPrincipal(k Key, e entitlement.Entitlement) Principal {
	return Principal{Key: k, scopes: slices.Clone(k.Scopes), valid: true}.with(e)
}

// with returns p under another entitlement.
func (p Principal) with(e entitlement.Entitlement) Principal {
	p.Entitlement, p.covered = e.Clone(), slices.Clone(e.Scopes)
	return p
}

// Allows reports whether the key was given the scope and the owner's plan
// covers it; see [entitlement.Grants] for what "*" means. A key without
// scopes allows none, and so does a Principal that did not come from a
// Manager.
func (p *Principal) Allows(scope string) bool {
	return p != nil && p.valid &&
		entitlement.Grants(p.scopes, scope) &&
		(p.covered == nil || entitlement.Grants(p.covered, scope))
}

func (p *Principal) allowsAll(scopes []string) bool {
	for _, s := range scopes {
		if !p.Allows(s) {
			return false
		}
	}
	return true
}

type principalKey struct{}

// PrincipalFromContext returns the Principal that [Manager.Require] put into
// the request's context. It is false when the request did not pass through
// Require.
func PrincipalFromContext(ctx context.Context) (*Principal, bool) {
	p, ok := ctx.Value(principalKey{}).(*Principal)
	return p, ok
}

// MustPrincipal is like [PrincipalFromContext] but panics when there is no
// Principal: for handlers that must never run without Require before them.
func MustPrincipal(ctx context.Context) *Principal {
	p, ok := PrincipalFromContext(ctx)
	if !ok {
		panic("apikey: no Principal in the context: the handler is not behind Require")
	}
	return p
}
