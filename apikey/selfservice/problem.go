package selfservice

import (
	"encoding/json"
	"errors"
	"log/slog"
	"math"
	"net/http"
	"strconv"
	"strings"

	"github.com/keyhatch/keyhatch/apikey"
)

// A problem is an error that is returned to the client as problem details (RFC
// 9457). Programs may depend on the code.
type problem struct {
	status int
	code   string
	detail string   // for people; may be empty
	key    *keyJSON // the key that an earlier request has created, if any
	wait   int      // the Retry-After in seconds; 0 for none
}

func (p *problem) Error() string { return "selfservice: " + p.code }

const retryAfter = 5 // seconds

var (
	unauthorized     = &problem{status: 401, code: "unauthorized", detail: "nobody is signed in"}
	crossOrigin      = &problem{status: 403, code: "cross_origin", detail: "the request comes from another site"}
	keyForbidden     = &problem{status: 403, code: "insufficient_scope", detail: "this API key may not do this"}
	notEntitled      = &problem{status: 403, code: "api_access_required", detail: "the plan does not include API access"}
	notFound         = &problem{status: 404, code: "not_found"}
	methodNotAllowed = &problem{status: 405, code: "method_not_allowed"}
	limitReached     = &problem{status: 409, code: "key_limit_reached", detail: "the owner has as many keys as the plan allows; revoke one first"}
	duplicate        = &problem{status: 409, code: "duplicate_key", detail: "this token cannot be registered; make a new one"}
	conflict         = &problem{status: 409, code: "conflict", detail: "the key is revoked, expired or replaced and cannot be changed"}
	tooLarge         = &problem{status: 413, code: "content_too_large", detail: "the body is longer than 16 KiB"}
	notJSON          = &problem{status: 415, code: "unsupported_media_type", detail: "the content type must be application/json"}
	internal         = &problem{status: 500, code: "internal_error"}
	limited          = &problem{status: 429, code: "too_many_requests", detail: "too many concurrent requests; retry in a second", wait: 1}
	unavailable      = &problem{status: 503, code: "unavailable", detail: "the service cannot reach its database or billing system; a change may or may not have been made; retry in a few seconds", wait: retryAfter}
	notPropagated    = &problem{status: 503, code: "not_propagated", detail: "the change was made but not yet published to all servers; send the request again to publish it", wait: retryAfter}
)

// throttle counts a write of the caller. It returns a problem with a Retry-After if
// the write limit is used up. Failed writes count too, since they cost the store as
// much. An owner's API keys have a limit of their own, so that a stolen key cannot keep
// its owner from revoking it.
func (h *handler) throttle(who caller, kind apikey.EventKind) error {
	counted := who.owner
	if who.key != nil {
		counted = "\x00" + counted // no owner contains a control character
	}
	wait := h.keys.Throttle(counted, kind)
	if wait == 0 {
		return nil
	}
	return &problem{status: 429, code: "too_many_requests", detail: "too many requests of this kind in a minute", wait: int(math.Ceil(wait.Seconds()))}
}

func badRequest(detail string) *problem {
	return &problem{status: 400, code: "invalid_request", detail: detail}
}

// invalid returns the problem of a field or header with the given name.
func invalid(name, reason string) *problem {
	code := "invalid_" + strings.ToLower(strings.ReplaceAll(name, "-", "_"))
	return &problem{status: 400, code: code, detail: name + " " + reason}
}

// fieldNames maps the fields of an [apikey.InvalidError] that the client can set to
// their names in the request. Any other invalid field is the host's mistake.
var fieldNames = map[string]string{
	"Name": "name", "Scopes": "scopes", "ExpiresAt": "expires_at", "Digest": "digest", "Hint": "hint", "Cursor": "cursor",
	"IdempotencyKey": "Idempotency-Key", "reason": "reason", "grace": "grace_seconds",
}

// problemOf returns the problem that reports err. It checks for outages first, since
// an outage may wrap any other error.
func problemOf(err error) *problem {
	var p *problem
	var bad *apikey.InvalidError
	switch {
	case errors.As(err, &p):
		return p
	case errors.Is(err, apikey.ErrNotPropagated):
		return notPropagated
	case errors.Is(err, apikey.ErrUnavailable):
		return unavailable
	case errors.Is(err, apikey.ErrLimited):
		return limited
	case errors.As(err, &bad) && fieldNames[bad.Field] != "":
		return invalid(fieldNames[bad.Field], bad.Reason)
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

// writeError writes the problem of an error. It logs the host's mistakes, such as
// an invalid owner.
func (h *handler) writeError(w http.ResponseWriter, r *http.Request, err error) {
	p := problemOf(err)
	if p == internal {
		h.options.Logger.LogAttrs(r.Context(), slog.LevelError, "selfservice: request failed", slog.Any("error", err))
	}
	writeProblem(w, p)
}

func writeProblem(w http.ResponseWriter, p *problem) {
	setRetryAfter(w, p.wait)
	writeJSON(w, p.status, "application/problem+json", problemJSON{
		Type: "about:blank", Title: http.StatusText(p.status), Status: p.status, Code: p.code, Detail: p.detail, Key: p.key,
	})
}

// setRetryAfter sets Retry-After, unless seconds is 0.
func setRetryAfter(w http.ResponseWriter, seconds int) {
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

func writeJSON(w http.ResponseWriter, status int, contentType string, v any) {
	body, err := json.Marshal(v)
	if err != nil { // impossible for the types of this package
		status, body = http.StatusInternalServerError, []byte(`{"code":"internal_error"}`)
	}
	h := w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Content-Length", strconv.Itoa(len(body)+1))
	w.WriteHeader(status)
	w.Write(append(body, '\n')) // net/http omits it for HEAD
}
