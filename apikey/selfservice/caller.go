package selfservice

import (
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/keyhatch/keyhatch/apikey"
)

// A caller makes a request: a signed-in owner, or one of the owner's API keys.
type caller struct {
	owner string
	key   *apikey.Principal // nil for a session
}

// caller authenticates the request. If the request carries an API key, the key is
// the caller, even if there is a session too: otherwise the key could do more than
// its scopes allow.
func (h *handler) caller(r *http.Request) (caller, error) {
	p, err := h.principal(r)
	switch {
	case err != nil:
		return caller{}, err
	case p != nil && (h.options.KeyScope == "" || !p.Allows(h.options.KeyScope)):
		return caller{}, keyForbidden
	case p != nil:
		return caller{p.Owner(), p}, nil
	case h.owner == nil:
		return caller{}, unauthorized
	}
	owner, err := h.owner(r)
	switch {
	case errors.Is(err, apikey.ErrUnavailable):
		level := slog.LevelError
		if r.Context().Err() != nil {
			level = slog.LevelDebug // the client has disconnected
		}
		h.options.Logger.LogAttrs(r.Context(), level, "selfservice: owner failed", slog.Any("error", err))
		return caller{}, apikey.ErrUnavailable
	case err != nil || owner == "":
		return caller{}, unauthorized
	}
	return caller{owner: owner}, nil
}

// principal returns the principal of the request's API key, or nil if it has none.
// It does not validate a request without a key, since that would log a missing key
// for each request of a session.
func (h *handler) principal(r *http.Request) (*apikey.Principal, error) {
	_, validated := apikey.PrincipalFromContext(r.Context())
	if !validated && !h.keys.HasCredential(r) {
		return nil, nil
	}
	p, err := h.keys.ValidateRequest(r)
	if validated && errors.Is(err, apikey.ErrMissing) {
		return nil, keyForbidden // another Manager has validated the key
	}
	if err == nil && validated {
		err = h.checkActive(r, p)
	}
	return p, err
}

// checkActive returns an error if the key is no longer active. A middleware has
// validated it before this handler read the body, which may have taken seconds.
func (h *handler) checkActive(r *http.Request, p *apikey.Principal) error {
	k, err := h.keys.Get(r.Context(), p.Owner(), p.KeyID())
	if err == nil && k.Status(time.Now()) != apikey.StatusActive {
		err = apikey.ErrRevoked
	}
	return err
}

// mayGrant reports whether the caller may create k, or get a token of k. An API key may not do so
// if k has more scopes or a later expiry than the API key.
func (c caller) mayGrant(k apikey.Key) bool {
	if c.key == nil {
		return true
	}
	for _, s := range k.Scopes {
		if !c.key.Allows(s) {
			return false
		}
	}
	own := c.key.Key().ExpiresAt
	return own.IsZero() || !k.ExpiresAt.IsZero() && !k.ExpiresAt.After(own)
}

// createdBy returns the CreatedBy of a key that the caller creates.
func (h *handler) createdBy(c caller, r *http.Request) string {
	switch {
	case c.key != nil:
		return c.key.KeyID()
	case h.options.CreatedBy != nil:
		return h.options.CreatedBy(r)
	}
	return ""
}
