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

// Require returns a middleware that admits only requests with a valid key that
// allows every one of the scopes; none means that any valid key will do.
//
// The token is taken from [Options.Headers] and nowhere else: never from the
// query, the path, a cookie or the body. The next handler finds the
// [Principal] in the request's context, see [PrincipalFromContext], and no
// longer finds the token in its headers, so that it cannot log it or send it
// on. Everyone else is answered here, as RFC 6750 and RFC 9457 have it:
//
//	400  more than one credential
//	401  no credential, or one that is not good
//	403  a scope is missing, or the plan has no API access
//	503  the store or the entitlement provider could not say
//
// What a response holds belongs to the key's owner, so each one gets a Vary on
// the header that carried the key, before the next handler runs, and keeps
// shared caches from giving it to others. The response to a header other than
// Authorization, which caches do not know for a credential, is Cache-Control:
// private too: public, s-maxage and headers for CDNs alone, such as
// CDN-Cache-Control, are removed when the next handler sends them. A handler whose
// responses to Authorization are for everyone can delete the Vary. A handler that
// hijacks the connection, or unwraps the ResponseWriter to write to the one inside,
// sends the headers that it chooses.
//
// CORS preflight requests, which browsers send without credentials, are
// answered 204 and never reach the next handler. They get no CORS headers, which
// permits nothing. To be called from browsers, put a CORS middleware before this
// one.
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
		return &guard{manager: m, scopes: scopes, next: next}
	}
}

// A guard is the handler that Require makes.
type guard struct {
	manager *Manager
	scopes  []string
	next    http.Handler
}

func (g *guard) ServeHTTP(w http.ResponseWriter, r *http.Request) {
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
		w, sent = via.keepApart(w)
		defer sent()
	}
	a := &admitted{principalContext: principalContext{Context: r.Context(), principal: p, manager: g.manager}}
	a.request = *r.WithContext(&a.principalContext)
	g.manager.handOn(w, r, &a.request, g.next)
}

// isPreflight reports whether a browser asks what a later request may do (the
// CORS-preflight request of the Fetch standard). It cannot carry a credential.
func isPreflight(r *http.Request) bool {
	return r.Method == http.MethodOptions &&
		len(r.Header["Origin"]) > 0 && len(r.Header["Access-Control-Request-Method"]) > 0
}

// keepApart keeps shared caches from mixing owners up. They know that the response
// to Authorization is for one client, but forget it when the next handler sends
// public, s-maxage or must-revalidate (RFC 9111, section 3.5). Of other headers they
// know nothing, so the response to one is kept private whatever the next handler
// sends. The Vary is added, since others contribute to that list.
//
// The next handler must write to the ResponseWriter that keepApart returns, and
// sent must be called after it.
func (c *carrier) keepApart(w http.ResponseWriter) (kept http.ResponseWriter, sent func()) {
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
// and requires every one of the scopes. It is what [Manager.Require] does before it
// calls the next handler, for servers and transports that Require does not fit.
// Besides Validate's errors it returns [ErrMissing], [ErrAmbiguous] and [ErrScope].
//
// The keys of h are canonical (see [net/textproto.CanonicalMIMEHeaderKey]). Authorize
// does not change h, which still has the token.
func (m *Manager) Authorize(ctx context.Context, h http.Header, scopes ...string) (*Principal, error) {
	p, _, err := m.authorize(ctx, h, scopes)
	return p, err
}

// ValidateRequest is [Manager.Authorize] for the headers of a request, without
// scopes; use [Principal.Allows] for those. [Manager.WriteError] turns its errors
// into a response.
//
// It does not change r, whose headers keep the token, and it does not set the
// headers for shared caches that Require sets.
func (m *Manager) ValidateRequest(r *http.Request) (*Principal, error) {
	return m.Authorize(r.Context(), r.Header)
}

// HasCredential reports whether r has, in one of [Options.Headers], a token in the
// form of this Manager, or more than one credential. It does not call the store and
// emits no event. It is for handlers that accept sessions as well as keys: if it
// returns true, call [Manager.ValidateRequest].
func (m *Manager) HasCredential(r *http.Request) bool {
	token, _, err := extract(m.carriers, r.Header)
	return errors.Is(err, ErrAmbiguous) || err == nil && (m.token.wellFormed(token) || m.token.isLegacy(token))
}

// authorize is authenticate with scopes, whose lack it reports.
func (m *Manager) authorize(ctx context.Context, h http.Header, scopes []string) (*Principal, *carrier, error) {
	p, via, err := m.authenticate(ctx, h)
	if err == nil && !p.allowsAll(scopes) {
		return nil, nil, m.refuse(ctx, p, &scopeError{scopes})
	}
	return p, via, err
}

// authenticate is the only way from a request to a Principal. The carrier is
// nil when an outer guard of this Manager has used up the credential.
func (m *Manager) authenticate(ctx context.Context, h http.Header) (*Principal, *carrier, error) {
	token, via, err := extract(m.carriers, h)
	if err != nil {
		if p, ok := ctx.Value(voucher{m}).(*Principal); ok && err == ErrMissing && via == nil {
			return p, nil, nil
		}
		return nil, nil, m.refuse(ctx, nil, err)
	}
	p, err := m.Validate(ctx, token)
	return p, via, err
}

// strip returns the headers without any that may carry a credential. It leaves
// h as it is, since it is not ours to change (see [http.Handler]).
func (m *Manager) strip(h http.Header) http.Header {
	h = maps.Clone(h)
	for i := range m.carriers {
		delete(h, m.carriers[i].header)
	}
	return h
}

// An admitted is the request that the next handler gets, in one piece with its
// context.
type admitted struct {
	request http.Request
	principalContext
}

// A principalContext holds a Principal and the Manager that vouches for it.
type principalContext struct {
	context.Context
	principal *Principal
	manager   *Manager
}

// voucher is the context key of the Principal that this very Manager
// validated: another one's keys are none of its own.
type voucher struct{ manager *Manager }

func (c *principalContext) Value(key any) any {
	if key == (principalKey{}) || key == (voucher{c.manager}) {
		return c.principal
	}
	return c.Context.Value(key)
}
