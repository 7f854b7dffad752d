package selfservice

import (
	"encoding/json"
	"errors"
	"log/slog"
	"math"
	"net/http"
	"strconv"

	"github.com/keyhatch/keyhatch/apikey"
)

// A problem is an answer to a request that is refused, as of RFC 9457. The code is
// for programs, and stays.
type problem struct {
	status int
	code   string
	detail string   // for people; may be empty
	key    *keyJSON // what there is already
	wait   int      // for Retry-After, in seconds
}

func (p *problem) Error() string { return "selfservice: " + p.code }

const retryAfter = 5 // seconds

var (
	unauthorized     = &problem{status: 401, code: "unauthorized", detail: "Nobody is signed in."}
	crossOrigin      = &problem{status: 403, code: "cross_origin", detail: "The request comes from another site."}
	keyForbidden     = &problem{status: 403, code: "insufficient_scope", detail: "This API key may not do that."}
	notEntitled      = &problem{status: 403, code: "api_access_required", detail: "The plan does not include the API."}
	notFound         = &problem{status: 404, code: "not_found"}
	methodNotAllowed = &problem{status: 405, code: "method_not_allowed"}
	limitReached     = &problem{status: 409, code: "key_limit_reached", detail: "There are as many keys as the plan allows. Revoke one first."}
	duplicate        = &problem{status: 409, code: "duplicate_key", detail: "This token cannot be registered. Make another one."}
	conflict         = &problem{status: 409, code: "conflict", detail: "The key is over, or was replaced, and does not change any more."}
	tooLarge         = &problem{status: 413, code: "content_too_large", detail: "The body is longer than 16 KiB."}
	notJSON          = &problem{status: 415, code: "unsupported_media_type", detail: "The body must be application/json."}
	internal         = &problem{status: 500, code: "internal_error"}
	limited          = &problem{status: 429, code: "too_many_requests", detail: "Too many requests at once. Send it again in a second.", wait: 1}
	unavailable      = &problem{status: 503, code: "unavailable", detail: "Try again in a moment. What was to be changed may or may not be.", wait: retryAfter}
	notPropagated    = &problem{status: 503, code: "not_propagated", detail: "It is done, but not all servers know yet. Send it again to tell them.", wait: retryAfter}
)

// throttle counts a write, or returns a problem that says how long to wait. Writes
// that fail count too, since they cost the store as much. An owner's API keys have a
// quota of their own, so that a stolen key cannot keep its owner from revoking it.
func (h *handler) throttle(who caller, kind apikey.EventKind) error {
	counted := who.owner
	if who.key != nil {
		counted = "\x00" + counted // no owner has a control character
	}
	wait := h.keys.Throttle(counted, kind)
	if wait == 0 {
		return nil
	}
	return &problem{status: 429, code: "too_many_requests", detail: "Too many requests of this kind in a minute.", wait: int(math.Ceil(wait.Seconds()))}
}

func malformed(detail string) *problem {
	return &problem{status: 400, code: "invalid_request", detail: detail}
}

// fields are the codes of what [apikey.InvalidError] names. What is not here is
// not the client's, but the host's mistake.
var fields = map[string]string{
	"Name": "invalid_name", "Scopes": "invalid_scopes", "ExpiresAt": "invalid_expires_at",
	"Digest": "invalid_digest", "Hint": "invalid_hint", "Cursor": "invalid_cursor",
	"IdempotencyKey": "invalid_idempotency_key", "reason": "invalid_reason", "grace": "invalid_grace_seconds",
}

// problemOf decides how an error is answered. An outage comes before all that it
// may wrap.
func problemOf(err error) *problem {
	var p *problem
	var invalid *apikey.InvalidError
	switch {
	case errors.As(err, &p):
		return p
	case errors.Is(err, apikey.ErrNotPropagated):
		return notPropagated
	case errors.Is(err, apikey.ErrUnavailable):
		return unavailable
	case errors.Is(err, apikey.ErrLimited):
		return limited
	case errors.As(err, &invalid) && fields[invalid.Field] != "":
		return &problem{status: 400, code: fields[invalid.Field], detail: "It " + invalid.Reason + "."}
	case errors.Is(err, apikey.ErrNotEntitled):
		return notEntitled
	case errors.Is(err, apikey.ErrNotFound):
		return notFound
	case errors.Is(err, apikey.ErrLimitReached):
		return limitReached
	case errors.Is(err, apikey.ErrDuplicate):
		return duplicate
	case errors.Is(err, apikey.ErrConflict):
		return conflict
	}
	return internal
}

// refuse answers with the problem that the error is. What nobody but the host can
// mend, such as an owner that cannot be one, goes to the log.
func (h *handler) refuse(w http.ResponseWriter, r *http.Request, err error) {
	p := problemOf(err)
	if p == internal {
		h.options.Logger.LogAttrs(r.Context(), slog.LevelError, "selfservice: request failed", slog.Any("error", err))
	}
	refuse(w, p)
}

// refuse answers what is wrong with a request.
func refuse(w http.ResponseWriter, p *problem) {
	retryIn(w, p.wait)
	answer(w, p.status, "application/problem+json", problemJSON{
		Type: "about:blank", Title: http.StatusText(p.status), Status: p.status, Code: p.code, Detail: p.detail, Key: p.key,
	})
}

// retryIn sets Retry-After, unless seconds is 0.
func retryIn(w http.ResponseWriter, seconds int) {
	if seconds > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(seconds))
	}
}

type problemJSON struct {
	Type   string   `json:"type"`
	Title  string   `json:"title"`
	Status int      `json:"status"`
	Code   string   `json:"code"`
	Detail string   `json:"detail,omitempty"`
	Key    *keyJSON `json:"key,omitempty"`
}

// answer sends a value as JSON. What is sent here always can be.
func answer(w http.ResponseWriter, status int, contentType string, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		status, body = http.StatusInternalServerError, []byte(`{"code":"internal_error"}`)
	}
	h := w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Content-Length", strconv.Itoa(len(body)+1))
	w.WriteHeader(status)
	w.Write(append(body, '\n')) // net/http leaves it out for HEAD
}
