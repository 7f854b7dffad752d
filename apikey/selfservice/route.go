package selfservice

import (
	"maps"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"
)

// An endpoint serves the requests of a route. The id is the key's ID in the path.
type endpoint func(w http.ResponseWriter, r *http.Request, id string)

// newRoutes returns the endpoints of all paths below the mount point, by path and
// method. It is not an [http.ServeMux]: with the setting httpmuxgo121 of GODEBUG, which
// a host may need for its own routes, a ServeMux would find none of them.
func (h *handler) newRoutes() map[string]map[string]endpoint {
	return map[string]map[string]endpoint{
		"/":                     {"GET": h.page, "POST": h.page},
		"/panel.css":            {"GET": serveAsset},
		"/panel.js":             {"GET": serveAsset},
		"/openapi.json":         {"GET": serveAsset},
		"/api/usage":            {"GET": h.api(usage)},
		"/api/keys":             {"GET": h.api(list), "POST": h.api(create)},
		"/api/keys/{id}":        {"GET": h.api(get), "PATCH": h.api(update)},
		"/api/keys/{id}/rotate": {"POST": h.api(rotate)},
		"/api/keys/{id}/revoke": {"POST": h.api(revoke)},
	}
}

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	setSecurityHeaders(w.Header())
	below := h.pathBelowMount(r)
	if below == "" && redirectToSlash(w, r) {
		return
	}
	below = "/" + strings.TrimPrefix(below, "/")
	methods, id := h.match(below)
	method := r.Method
	if method == http.MethodHead {
		method = http.MethodGet
	}
	serve := methods[method]
	switch {
	case methods == nil:
		writeProblem(w, notFound)
	case serve == nil:
		w.Header().Set("Allow", allowed(methods))
		writeProblem(w, methodNotAllowed)
	case h.crossOrigin.Check(r) != nil:
		writeProblem(w, crossOrigin)
	default:
		serve(w, r, id)
	}
}

// match returns the endpoints of an escaped path by method, and the key's ID in the
// path. It returns nil if there are none.
func (h *handler) match(escaped string) (methods map[string]endpoint, id string) {
	if path.Clean(escaped) != escaped {
		return nil, ""
	}
	elements := strings.Split(escaped, "/")
	for route, methods := range h.routes {
		pattern := strings.Split(route, "/")
		if len(pattern) != len(elements) || !beginsWith(elements, pattern) {
			continue
		}
		if i := slices.Index(pattern, "{id}"); i >= 0 {
			id, _ = url.PathUnescape(elements[i])
		}
		return methods, id
	}
	return nil, ""
}

// allowed returns the value of the header Allow.
func allowed(methods map[string]endpoint) string {
	all := slices.Collect(maps.Keys(methods))
	if methods[http.MethodGet] != nil {
		all = append(all, http.MethodHead)
	}
	slices.Sort(all)
	return strings.Join(all, ", ")
}

// redirectToSlash redirects to the page's address with a trailing slash, without
// which the page's relative links would not work. It reports false if the address
// has the slash: then [http.StripPrefix] has removed it.
func redirectToSlash(w http.ResponseWriter, r *http.Request) bool {
	address, err := url.ParseRequestURI(r.RequestURI)
	switch {
	case err != nil:
		writeProblem(w, notFound)
		return true
	case strings.HasSuffix(address.Path, "/"):
		return false
	}
	// The mount point is not known, so the redirect is relative. It repeats the
	// last element of the path.
	query := url.URL{RawQuery: address.RawQuery}
	w.Header().Set("Location", "./"+path.Base(address.EscapedPath())+"/"+query.String())
	w.WriteHeader(http.StatusTemporaryRedirect)
	return true
}

// pathBelowMount returns the part of the request's escaped path that follows the mount
// point. A router leaves the mount point in the path, unless [http.StripPrefix] has
// removed it. In that case, the mount point is in the part of the request's URI that
// precedes the path. That part may look like the mount point by chance, if the mount
// point has wildcards or an outer router has removed a prefix of its own. If the likeness is by
// chance, the path itself begins with the mount point and the same wildcard values.
func (h *handler) pathBelowMount(r *http.Request) string {
	escaped, mount := r.URL.EscapedPath(), mountPoint(r.Pattern)
	if address, err := url.ParseRequestURI(r.RequestURI); err == nil {
		removed, ok := strings.CutSuffix(address.EscapedPath(), escaped)
		if ok && hasMount(strings.Split(strings.Trim(removed, "/"), "/"), mount) {
			if methods, _ := h.match("/" + strings.TrimPrefix(escaped, "/")); methods != nil {
				return escaped
			}
			mount = withValues(mount, r)
		}
	}
	elements := strings.SplitN(strings.TrimPrefix(escaped, "/"), "/", len(mount)+1)
	switch {
	case len(elements) < len(mount) || !beginsWith(elements, mount):
		return escaped
	case len(elements) == len(mount):
		return ""
	}
	return "/" + elements[len(mount)]
}

// mountPoint returns the path elements of the router pattern that matched the request,
// without its trailing wildcard. It is empty if the router has set no pattern.
func mountPoint(pattern string) []string {
	_, mount, ok := strings.Cut(pattern, "/") // before it, there may be a method and a host
	if !ok {
		return nil
	}
	elements := strings.Split(mount, "/")
	last := elements[len(elements)-1]
	if last == "" || last == "*" || last == "{$}" || strings.HasSuffix(last, "...}") {
		elements = elements[:len(elements)-1]
	}
	return elements
}

// withValues replaces the wildcards of the mount point by their values in the request.
func withValues(mount []string, r *http.Request) []string {
	filled := slices.Clone(mount)
	for i, element := range mount {
		if strings.HasPrefix(element, "{") {
			filled[i] = r.PathValue(strings.Trim(element, "{}"))
		}
	}
	return filled
}

// hasMount reports whether the mount point occurs in the elements of a path.
func hasMount(elements, mount []string) bool {
	for i := range len(elements) - len(mount) + 1 {
		if beginsWith(elements[i:], mount) {
			return true
		}
	}
	return false
}

// beginsWith reports whether escaped elements of a path begin with a pattern, which
// must not be longer.
func beginsWith(elements, pattern []string) bool {
	for i, want := range pattern {
		got, err := url.PathUnescape(elements[i])
		isWildcard := strings.HasPrefix(want, "{") && got != ""
		if err != nil || got != want && !isWildcard {
			return false
		}
	}
	return true
}
