package selfservice

import (
	"net/http"

	"github.com/keyhatch/keyhatch/apikey"
)

// New returns the handler of the page and the API for keys.
//
// The function owner returns the owner on whose behalf a request is made. It must
// use the host's own session, and must not trust anything that the customer can
// choose, such as a parameter. If it returns "" or an error, the response is 401; if
// the error matches [apikey.ErrUnavailable], the response is 503. If owner is nil,
// nobody can sign in, and only API keys with [Options.KeyScope] are accepted.
//
// The Options may be nil. New panics if keys is nil or an option is invalid, so that
// it can be an argument of mux.Handle.
func New(keys *apikey.Manager, owner func(*http.Request) (string, error), opts *Options) http.Handler {
	if keys == nil {
		panic("selfservice: New: keys is nil")
	}
	h := &handler{
		keys: keys, owner: owner, options: opts.withDefaults(),
		crossOrigin: http.NewCrossOriginProtection(),
	}
	h.routes = h.newRoutes()
	return h
}

type handler struct {
	keys        *apikey.Manager
	owner       func(*http.Request) (string, error)
	options     Options
	crossOrigin *http.CrossOriginProtection
	routes      map[string]map[string]endpoint
}
