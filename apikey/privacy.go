package apikey

import (
	"net/http"
	"slices"
	"strings"
)

// keepPrivate makes h one that no shared cache stores (RFC 9111, section 5.2.2). It
// finds the headers in any case of their letters, as HTTP/1 sends them.
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

// appendDirectives appends the directives of a Cache-Control that mean something in
// a private response, other than private itself. A comma in quotes splits a list of
// fields into unknown directives, which only loses that list. So what looks like a
// directive may stand in quotes, and private has to come first.
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

// isForSharedCaches reports whether a response header tells CDNs and proxies what to
// cache, and takes precedence over Cache-Control there (RFC 9213). The name of most
// ends as in CDN-Cache-Control.
func isForSharedCaches(name string) bool {
	const targeted = "-cache-control"
	if n := len(name) - len(targeted); n >= 0 && strings.EqualFold(name[n:], targeted) {
		return true
	}
	return slices.ContainsFunc([]string{"Surrogate-Control", "Edge-Control", "X-Accel-Expires"}, func(other string) bool {
		return strings.EqualFold(name, other)
	})
}
