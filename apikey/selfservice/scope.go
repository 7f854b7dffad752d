package selfservice

import (
	"slices"
	"strings"

	"github.com/keyhatch/keyhatch/entitlement"
)

// offered are the scopes that a key can be given on the page. A wildcard that the
// plan names is not among them unless the host offers it: few customers would
// know what they give away.
func (h *handler) offered(e entitlement.Entitlement) []Scope {
	var offered []Scope
	if h.options.Scopes == nil {
		for _, name := range e.Scopes {
			if !strings.Contains(name, "*") {
				offered = append(offered, Scope{Name: name})
			}
		}
		return offered
	}
	for _, s := range h.options.Scopes {
		if e.Covers(s.Name) {
			offered = append(offered, s)
		}
	}
	return offered
}

// grantable reports whether a customer may give a key the scope: one of
// [Options.Scopes] that the plan covers, or, where there are none, one of the
// plan's own. A plan that covers everything, with "*" or by naming none, says
// nothing of what customers should have, so without Options.Scopes that is none.
func (h *handler) grantable(e entitlement.Entitlement, scope string) bool {
	if h.options.Scopes == nil {
		return e.Scopes != nil && !slices.Contains(e.Scopes, "*") && e.Covers(scope)
	}
	return e.Covers(scope) && slices.ContainsFunc(h.options.Scopes, func(s Scope) bool { return s.Name == scope })
}
