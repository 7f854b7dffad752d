package selfservice

import (
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/keyhatch/keyhatch/apikey"
)

// A caller is on whose behalf a request is made: an owner who is signed in, or one
// of the owner's keys.
type caller struct {
	owner string
	key   *apikey.Principal // nil for a session
}

// caller finds out who is asking. A request that carries a key is the key's,
// whoever is signed in besides: it must not come to more than the key may.
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
			level = slog.LevelDebug // the caller went away
		}
		h.options.Logger.LogAttrs(r.Context(), level, "selfservice: owner failed", slog.Any("error", err))
		return caller{}, apikey.ErrUnavailable
	case err != nil || owner == "":
		return caller{}, unauthorized
	}
	return caller{owner: owner}, nil
}

// principal is that of the key that the request carries, if it does. Those of a
// session are not to be validated, which would fill the log with keys that are
// missing.
func (h *handler) principal(r *http.Request) (*apikey.Principal, error) {
	_, behind := apikey.PrincipalFromContext(r.Context())
	if !behind && !h.keys.HasCredential(r) {
		return nil, nil
	}
	p, err := h.keys.ValidateRequest(r)
	if behind && errors.Is(err, apikey.ErrMissing) {
		return nil, keyForbidden // another Manager let it in, and knows nothing of these keys
	}
	if err == nil && behind {
		err = h.still(r, p)
	}
	return p, err
}

// still asks whether the key is good now: it was validated before this handler
// began, and the request may have taken its time since.
func (h *handler) still(r *http.Request, p *apikey.Principal) error {
	k, err := h.keys.Get(r.Context(), p.Owner(), p.KeyID())
	if err == nil && k.Status(time.Now()) != apikey.StatusActive {
		err = apikey.ErrRevoked
	}
	return err
}

// mayHandOut reports whether the caller may make, or get a token of, a key that
// can do this much for this long.
func (c caller) mayHandOut(k apikey.Key) bool {
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

// by is who makes a key, for the record.
func (h *handler) by(c caller, r *http.Request) string {
	switch {
	case c.key != nil:
		return c.key.KeyID()
	case h.options.CreatedBy != nil:
		return h.options.CreatedBy(r)
	}
	return ""
}
