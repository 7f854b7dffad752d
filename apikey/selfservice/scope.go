package selfservice

import (
	"slices"
	"strings"

	"github.com/keyhatch/keyhatch/entitlement"
)

// offered returns the scopes that the page offers for a new key. It omits the
// plan's wildcards unless [Options.Scopes] has them: few customers would know what
// a wildcard allows.
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

// isGrantable reports whether a customer may give a key the scope. It must be one of
// [Options.Scopes] that the plan covers. If Options.Scopes is nil, it must be one
// that the plan covers, and the plan must not cover everything: "*" and nil do not
// say which scopes customers should have.
func (h *handler) isGrantable(e entitlement.Entitlement, scope string) bool {
	if h.options.Scopes == nil {
		return e.Scopes != nil && !slices.Contains(e.Scopes, "*") && e.Covers(scope)
	}
	return e.Covers(scope) && slices.ContainsFunc(h.options.Scopes, func(s Scope) bool { return s.Name == scope })
}
