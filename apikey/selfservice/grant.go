package selfservice

import (
	"slices"

	"github.com/keyhatch/keyhatch/entitlement"
)

// grantable reports whether a customer may give a key the scope: one of
// [Options.Scopes] that the plan covers, or, where there are none, one of the
// plan's own. A plan that covers everything says nothing of what customers should
// have, so without Options.Scopes that is none.
func (h *handler) grantable(e entitlement.Entitlement, scope string) bool {
	if h.options.Scopes == nil {
		return e.Scopes != nil && entitlement.Grants(e.Scopes, scope)
	}
	return slices.ContainsFunc(h.options.Scopes, func(s Scope) bool { return s.Name == scope }) &&
		(e.Scopes == nil || entitlement.Grants(e.Scopes, scope))
}
