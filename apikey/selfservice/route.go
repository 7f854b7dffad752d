package selfservice

import (
	"context"
	"net/http"
	"net/url"
	"path"
	"strings"
)

// An endpoint serves the requests of a route. The id is the key's ID in the path.
type endpoint func(w http.ResponseWriter, r *http.Request, id string)

// hostRequest is the context key of the host's request.
type hostRequest struct{}

// routes returns the ServeMux of all paths below the mount point.
func (h *handler) routes() *http.ServeMux {
	mux := http.NewServeMux()
	for pattern, serve := range map[string]endpoint{
		"GET /{$}":                   h.page,
		"POST /{$}":                  h.page,
		"GET /panel.css":             serveAsset,
		"GET /panel.js":              serveAsset,
		"GET /openapi.json":          serveAsset,
		"GET /api/usage":             h.api(usage),
		"GET /api/keys":              h.api(list),
		"POST /api/keys":             h.api(create),
		"GET /api/keys/{id}":         h.api(get),
		"PATCH /api/keys/{id}":       h.api(update),
		"POST /api/keys/{id}/rotate": h.api(rotate),
		"POST /api/keys/{id}/revoke": h.api(revoke),
	} {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, match *http.Request) {
			w = w.(unmatchedWriter).ResponseWriter
			r := match.Context().Value(hostRequest{}).(*http.Request)
			if h.crossOrigin.Check(r) != nil {
				writeProblem(w, crossOrigin)
				return
			}
			serve(w, r, match.PathValue("id"))
		})
	}
	return mux
}

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	setSecurityHeaders(w.Header())
	below := pathBelowMount(r)
	if below == "" && redirectToSlash(w, r) {
		return
	}
	below = "/" + strings.TrimPrefix(below, "/")
	unescaped, err := url.PathUnescape(below)
	if err != nil {
		writeProblem(w, notFound)
		return
	}
	// The mux gets a request of its own: it would replace the path values that
	// the host's mux has set, and the host's owner function may need them.
	match := &http.Request{Method: r.Method, Host: r.Host, URL: &url.URL{Path: unescaped, RawPath: below}}
	h.mux.ServeHTTP(unmatchedWriter{w}, match.WithContext(context.WithValue(r.Context(), hostRequest{}, r)))
}

// An unmatchedWriter replaces the ServeMux's own responses, which are plain text, by
// problems. The mux has set Allow if it refuses the method. It also redirects paths
// such as "/api//keys"; that is 404 here, since it does not know the mount point.
type unmatchedWriter struct{ http.ResponseWriter }

func (w unmatchedWriter) WriteHeader(status int) {
	w.Header().Del("Location")
	if status == http.StatusMethodNotAllowed {
		writeProblem(w.ResponseWriter, methodNotAllowed)
	} else {
		writeProblem(w.ResponseWriter, notFound)
	}
}

func (w unmatchedWriter) Write(b []byte) (int, error) { return len(b), nil }

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

// pathBelowMount returns the part of the request's escaped path that follows the
// mount point. A router leaves the mount point in the path, unless
// [http.StripPrefix] has removed it. In that case, the mount point is in the part of
// the request's URI that precedes the path.
func pathBelowMount(r *http.Request) string {
	escaped, mount := r.URL.EscapedPath(), mountPoint(r.Pattern)
	if address, err := url.ParseRequestURI(r.RequestURI); err == nil {
		removed, ok := strings.CutSuffix(address.EscapedPath(), escaped)
		if ok && hasMount(strings.Split(strings.Trim(removed, "/"), "/"), mount) {
			return escaped
		}
	}
	elements := strings.SplitN(strings.TrimPrefix(escaped, "/"), "/", len(mount)+1)
	switch {
	case len(elements) < len(mount) || !matchesMount(elements, mount):
		return escaped
	case len(elements) == len(mount):
		return ""
	}
	return "/" + elements[len(mount)]
}

// mountPoint returns the elements of the pattern by which a router has matched the
// request, without the wildcard for the rest of the path. It is empty if the router
// has set no pattern.
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

// hasMount reports whether the mount point occurs in the elements of a path.
func hasMount(elements, mount []string) bool {
	for i := range len(elements) - len(mount) + 1 {
		if matchesMount(elements[i:], mount) {
			return true
		}
	}
	return false
}

// matchesMount reports whether escaped elements of a path begin with the mount point.
func matchesMount(elements, mount []string) bool {
	for i, want := range mount {
		got, err := url.PathUnescape(elements[i])
		isWildcard := strings.HasPrefix(want, "{") && got != ""
		if err != nil || got != want && !isWildcard {
			return false
		}
	}
	return true
}
