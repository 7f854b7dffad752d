package selfservice

import (
	"net/http"
	"regexp"

	"github.com/keyhatch/keyhatch/apikey"
)

// New returns the handler for keys. Owner says on whose behalf a request is made,
// by the host's own session: it must not believe anything that the customer can
// choose, such as a parameter. An error of its, or "", is answered 401, and
// [apikey.ErrUnavailable] 503; so a nil owner keeps everybody out.
//
// New panics when keys is nil and for options that cannot be meant.
func New(keys *apikey.Manager, owner func(*http.Request) (string, error), options *Options) http.Handler {
	if keys == nil {
		panic("selfservice: New: nil Manager")
	}
	h := &handler{
		keys: keys, owner: owner, options: options.withDefaults(),
		token: regexp.MustCompile(keys.Pattern()), creations: newQuota(),
	}
	h.crossOrigin = http.NewCrossOriginProtection()
	return h
}

type handler struct {
	keys        *apikey.Manager
	owner       func(*http.Request) (string, error)
	options     Options
	token       *regexp.Regexp
	creations   *quota
	crossOrigin *http.CrossOriginProtection
}

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	protect(w.Header())
	route, id := find(r.URL.Path)
	switch {
	case route == nil:
		refuse(w, r, notFound)
	case route.methods[r.Method] == nil:
		w.Header().Set("Allow", route.allow())
		refuse(w, r, methodNotAllowed)
	case h.crossOrigin.Check(r) != nil:
		refuse(w, r, crossOrigin)
	default:
		route.methods[r.Method](h, w, r, id)
	}
}
