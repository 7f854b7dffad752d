package selfservice

import (
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
