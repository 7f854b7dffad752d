package apikey

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"

	"github.com/keyhatch/keyhatch/entitlement"
)

// Require returns a middleware that accepts only requests with a valid key that has
// all of the scopes. Without scopes, it accepts any valid key.
//
// The middleware takes the token from [Options.Headers] only, never from the query,
// the path, a cookie or the body. The next handler gets the [Principal] in the
// request's context; see [PrincipalFromContext]. The next handler does not get the
// token, so that it cannot log or forward it. The middleware responds to all other
// requests itself, as RFC 6750 and RFC 9457 specify:
//
//	400  more than one credential
//	401  no credential, or one that is not valid
//	403  a scope is missing, or the plan has no API access
//	503  the store or the entitlement provider failed
//
// # Caching
//
// A response belongs to the owner of the key. Before the next handler runs, the
// middleware adds a Vary on the header that carried the key, so that shared caches do
// not give the response to other owners. A handler whose responses are for everyone
// can delete the Vary.
//
// Caches do not know that a header other than Authorization is a credential. The
// response to a request with such a header is also Cache-Control: private. The
// middleware removes public, s-maxage, and headers for CDNs, such as
// CDN-Cache-Control, that the next handler sets. It cannot do so if the handler
// hijacks the connection or unwraps the ResponseWriter.
//
// # CORS and nesting
//
// The middleware responds to CORS preflight requests, which browsers send without
// credentials, with 204 and without CORS headers, which permits nothing. To accept
// calls from browsers, put a CORS middleware before this one.
//
// Middlewares of one Manager nest. The outer one removes the credential, and the
// inner one checks its scopes against the Principal in the context. So a group of
// routes can require a key, and each route a scope.
//
// Require panics if a scope is not valid; see [CreateParams].
func (m *Manager) Require(scopes ...string) func(http.Handler) http.Handler {
	for _, s := range scopes {
		if !entitlement.ValidScope(s) {
			panic(fmt.Sprintf("apikey: Require: invalid scope %q", s))
		}
	}
	scopes = slices.Clone(scopes)
	return func(next http.Handler) http.Handler {
		if next == nil {
			panic("apikey: Require: nil handler")
		}
		return &requireHandler{manager: m, scopes: scopes, next: next}
	}
}

// A requireHandler is the handler that the middleware of Require returns.
type requireHandler struct {
	manager *Manager
	scopes  []string
	next    http.Handler
}

func (g *requireHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if isPreflight(r) {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	p, via, err := g.manager.authorize(r.Context(), r.Header, g.scopes)
	if err != nil {
		g.manager.WriteError(w, r, err)
		return
	}
	if via != nil {
		var sent func()
		w, sent = via.protectResponse(w)
		defer sent()
	}
	n := &nextRequest{principalContext: principalContext{Context: r.Context(), principal: p, manager: g.manager}}
	n.request = *r.WithContext(&n.principalContext)
	g.manager.serveNext(w, r, &n.request, g.next)
}

// isPreflight reports whether r is a CORS-preflight request (Fetch standard). It
// cannot carry a credential.
func isPreflight(r *http.Request) bool {
	return r.Method == http.MethodOptions &&
		len(r.Header["Origin"]) > 0 && len(r.Header["Access-Control-Request-Method"]) > 0
}

// protectResponse prevents shared caches from giving one owner's response to another.
// Caches do not store the response to a request with Authorization, unless the
// response has public, s-maxage or must-revalidate (RFC 9111, section 3.5). Vary
// protects the response in that case. Caches do not know that other headers are
// credentials, so the response to a request with one is always made private.
//
// The next handler must write to the returned ResponseWriter. The caller must call sent when the
// next handler has returned.
func (c *carrier) protectResponse(w http.ResponseWriter) (protected http.ResponseWriter, sent func()) {
	h := w.Header()
	h["Vary"] = append(h["Vary"], c.header)
	if c.bearer {
		return w, func() {}
	}
	h["Cache-Control"] = append(h["Cache-Control"], "private")
	hooked := &hookedWriter{ResponseWriter: w, begin: func(int) { keepPrivate(w.Header()) }}
	return hooked.writer(), func() { hooked.before(0) }
}

// Authorize finds the token in the headers, validates it as [Manager.Validate] does,
// and checks that the key has all of the scopes. Use it for servers and transports that cannot
// use [Manager.Require]. Besides the errors of Validate it returns [ErrMissing], [ErrAmbiguous]
// and [ErrScope].
//
// The keys of h must be canonical (see [net/textproto.CanonicalMIMEHeaderKey]).
// Authorize does not change h and does not remove the token from it. It may be called
// from many goroutines.
func (m *Manager) Authorize(ctx context.Context, h http.Header, scopes ...string) (*Principal, error) {
	p, _, err := m.authorize(ctx, h, scopes)
	return p, err
}

// ValidateRequest calls [Manager.Authorize] with the headers of r and without scopes.
// Check scopes with [Principal.Allows], and send errors with [Manager.WriteError].
//
// It does not remove the token from r, and it does not set the headers for shared
// caches that Require sets.
func (m *Manager) ValidateRequest(r *http.Request) (*Principal, error) {
	return m.Authorize(r.Context(), r.Header)
}

// HasCredential reports whether r has, in one of [Options.Headers], a token in the
// form of this Manager, or more than one credential. It does not validate the token,
// call the store or emit events. It is for handlers that accept sessions as well as
// keys: if it returns true, call [Manager.ValidateRequest].
func (m *Manager) HasCredential(r *http.Request) bool {
	token, _, err := extract(m.carriers, r.Header)
	return errors.Is(err, ErrAmbiguous) || err == nil && (m.token.wellFormed(token) || m.token.isLegacy(token))
}

// authorize calls authenticate and checks the scopes.
func (m *Manager) authorize(ctx context.Context, h http.Header, scopes []string) (*Principal, *carrier, error) {
	p, via, err := m.authenticate(ctx, h)
	if err == nil && !p.allowsAll(scopes) {
		return nil, nil, m.refuse(ctx, p, &scopeError{scopes})
	}
	return p, via, err
}

// authenticate returns the Principal of a request, and the header that carried the
// token. The carrier is nil if an outer handler of this Manager has authenticated the
// request and removed the token.
func (m *Manager) authenticate(ctx context.Context, h http.Header) (*Principal, *carrier, error) {
	token, via, err := extract(m.carriers, h)
	if err != nil {
		if p, ok := ctx.Value(validatedBy{m}).(*Principal); ok && err == ErrMissing && via == nil {
			return p, nil, nil
		}
		return nil, nil, m.refuse(ctx, nil, err)
	}
	p, err := m.Validate(ctx, token)
	return p, via, err
}

// strip returns a copy of h without the headers that may carry a credential. It does
// not change h, which belongs to the caller (see [http.Handler]).
func (m *Manager) strip(h http.Header) http.Header {
	h = maps.Clone(h)
	for i := range m.carriers {
		delete(h, m.carriers[i].header)
	}
	return h
}

// A nextRequest is the request for the next handler and its context, in one
// allocation.
type nextRequest struct {
	request http.Request
	principalContext
}

// A principalContext holds a Principal and the Manager that validated it.
type principalContext struct {
	context.Context
	principal *Principal
	manager   *Manager
}

// validatedBy is the context key of a Principal that the given Manager validated. A
// handler must not accept the Principal of another Manager.
type validatedBy struct{ manager *Manager }

func (c *principalContext) Value(key any) any {
	if key == (principalKey{}) || key == (validatedBy{c.manager}) {
		return c.principal
	}
	return c.Context.Value(key)
}
