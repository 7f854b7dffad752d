package selfservice

import (
	"net/http"

	"github.com/keyhatch/keyhatch/apikey"
)

// New returns the handler for keys. Owner says on whose behalf a request is made,
// by the host's own session: it must not believe anything that the customer can
// choose, such as a parameter. An error from it, or "", is answered 401, and one
// that matches [apikey.ErrUnavailable] 503. A nil owner signs nobody in; API keys
// that [Options.KeyScope] lets in still come in.
//
// New panics when keys is nil and for options that cannot be meant, so that it fits
// into a call of mux.Handle.
func New(keys *apikey.Manager, owner func(*http.Request) (string, error), options *Options) http.Handler {
	if keys == nil {
		panic("selfservice: New: nil Manager")
	}
	return &handler{
		keys: keys, owner: owner, options: options.withDefaults(),
		crossOrigin: http.NewCrossOriginProtection(),
	}
}

type handler struct {
	keys        *apikey.Manager
	owner       func(*http.Request) (string, error)
	options     Options
	crossOrigin *http.CrossOriginProtection
}

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	protect(w.Header())
	route, id := find(r.URL.Path)
	switch {
	case route == nil:
		refuse(w, notFound)
	case route.methods[r.Method] == nil:
		w.Header().Set("Allow", route.allow())
		refuse(w, methodNotAllowed)
	case h.crossOrigin.Check(r) != nil:
		refuse(w, crossOrigin)
	default:
		route.methods[r.Method](h, w, r, id)
	}
}
