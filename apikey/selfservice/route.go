package selfservice

import (
	"maps"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"
)

// A route is what can be done at a place.
type route struct{ methods map[string]method }

type method func(h *handler, w http.ResponseWriter, r *http.Request, id string)

func (r *route) allow() string {
	return strings.Join(slices.Sorted(maps.Keys(r.methods)), ", ")
}

// reading serves GET and HEAD alike.
func reading(m method) *route {
	return &route{map[string]method{http.MethodGet: m, http.MethodHead: m}}
}

// also adds another method.
func (r *route) also(name string, m method) *route {
	r.methods[name] = m
	return r
}

func writing(name string, m method) *route {
	return &route{map[string]method{name: m}}
}

// files are found by the end of the path alone. No id has a dot or a slash in it.
var files = map[string]*route{
	"panel.css":    reading(asset),
	"panel.js":     reading(asset),
	"openapi.json": reading(asset),
}

var pageRoute = reading(onPage).also(http.MethodPost, onPage)

// onPage redirects to the page with the slash at its end, without which its
// relative links would not lead to what is beside it.
func onPage(h *handler, w http.ResponseWriter, r *http.Request, _ string) {
	asked, err := url.ParseRequestURI(r.RequestURI)
	if r.URL.Path != "" || err == nil && strings.HasSuffix(asked.Path, "/") {
		h.page(w, r)
		return
	}
	if err != nil {
		refuse(w, notFound)
		return
	}
	// Of what [http.StripPrefix] took away, the last element is all that a
	// relative address has to repeat.
	there := url.URL{RawQuery: asked.RawQuery}
	w.Header().Set("Location", "./"+path.Base(asked.EscapedPath())+"/"+there.String())
	w.WriteHeader(http.StatusTemporaryRedirect)
}

// places are where the API is: the last elements of the path, of which "*" is the
// id of a key.
var places = []struct {
	path  []string
	route *route
}{
	{[]string{"api", "usage"}, reading(api(usage))},
	{[]string{"api", "keys"}, reading(api(list)).also(http.MethodPost, api(create))},
	{[]string{"api", "keys", "*"}, reading(api(get)).also(http.MethodPatch, api(update))},
	{[]string{"api", "keys", "*", "rotate"}, writing(http.MethodPost, api(rotate))},
	{[]string{"api", "keys", "*", "revoke"}, writing(http.MethodPost, api(revoke))},
}

// find goes by the end of the path, since the handler does not know where it is
// mounted. The page is where it ends with a slash, or where nothing is left of it.
func find(path string) (r *route, id string) {
	elements := strings.Split(path, "/")
	last := elements[len(elements)-1]
	if last == "" {
		return pageRoute, ""
	}
	if r = files[last]; r != nil {
		return r, ""
	}
	for _, p := range places {
		if id, ok := match(elements, p.path); ok {
			return p.route, id
		}
	}
	return nil, ""
}

func match(elements, pattern []string) (id string, ok bool) {
	if len(elements) < len(pattern) {
		return "", false
	}
	for i, element := range elements[len(elements)-len(pattern):] {
		switch pattern[i] {
		case "*":
			id = element
		case element:
		default:
			return "", false
		}
	}
	return id, true
}
