package entitlement

import "strings"

// Grants reports whether one of the granted scopes equals the wanted scope or
// is a wildcard that covers it. The scope "*" covers every scope. A scope that
// ends in ":*", ".*" or "/*" covers every scope that begins with the text
// before the "*": "reports:*" covers "reports:read". Elsewhere, "*" has no
// special meaning.
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

// maxScope is the maximum length of a scope in bytes.
const maxScope = 64

// ValidScope reports whether s is a scope that a key or a plan can have: 1 to
// 64 characters of A-Z, a-z, 0-9 and :._*/-.
func ValidScope(s string) bool {
	return s != "" && len(s) <= maxScope && !strings.ContainsFunc(s, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune(":._*/-", r)
	})
}
