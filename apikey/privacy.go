package apikey

import (
	"net/http"
	"slices"
	"strings"
)

// keepPrivate changes h so that no shared cache stores the response (RFC 9111, section
// 5.2.2). It ignores the case of header names, since handlers may set names that are
// not canonical and HTTP/1 sends them unchanged.
func keepPrivate(h http.Header) {
	var directives []string
	for name, values := range h {
		switch {
		case strings.EqualFold(name, "Cache-Control"):
			directives = appendDirectives(directives, values)
			delete(h, name)
		case isForSharedCaches(name):
			delete(h, name)
		}
	}
	h["Cache-Control"] = []string{strings.Join(append([]string{"private"}, directives...), ", ")}
}

// appendDirectives appends the directives of a Cache-Control that have a meaning in a
// private response, except private itself. It does not parse quoted lists of fields:
// a comma in one splits it into unknown directives, which caches ignore. A directive
// within such quotes has no effect, so the caller must put private first.
func appendDirectives(directives, values []string) []string {
	for _, value := range values {
		for d := range strings.SplitSeq(value, ",") {
			d = strings.TrimSpace(d)
			name, _, _ := strings.Cut(strings.ToLower(d), "=")
			switch strings.TrimSpace(name) {
			case "", "public", "s-maxage", "proxy-revalidate", "private":
			default:
				if !slices.Contains(directives, d) {
					directives = append(directives, d)
				}
			}
		}
	}
	return directives
}

// isForSharedCaches reports whether a response header controls CDNs and proxies, and
// takes precedence over Cache-Control there (RFC 9213). Most are named like
// CDN-Cache-Control.
func isForSharedCaches(name string) bool {
	const targeted = "-cache-control"
	if n := len(name) - len(targeted); n >= 0 && strings.EqualFold(name[n:], targeted) {
		return true
	}
	return slices.ContainsFunc([]string{"Surrogate-Control", "Edge-Control", "X-Accel-Expires"}, func(other string) bool {
		return strings.EqualFold(name, other)
	})
}
