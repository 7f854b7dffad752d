package apikey

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/keyhatch/keyhatch/internal/text"
)

// retryAfter is the Retry-After during an outage, in seconds.
const retryAfter = "5"

const maxRealm = 128 // bytes

// A problem is the response to a refused request: problem details (RFC 9457) with a
// stable code for programs. It contains nothing about the key, so that an attacker who
// tries tokens learns only that they are refused.
type problem struct {
	status int
	body   []byte
	length string
}

func newProblem(status int, code string) *problem {
	body := fmt.Sprintf(`{"type":"about:blank","title":%q,"status":%d,"code":%q}`+"\n", http.StatusText(status), status, code)
	return &problem{status: status, body: []byte(body), length: strconv.Itoa(len(body))}
}

var (
	problemUnauthorized      = newProblem(http.StatusUnauthorized, "unauthorized")
	problemAmbiguous         = newProblem(http.StatusBadRequest, "invalid_request")
	problemScope             = newProblem(http.StatusForbidden, "insufficient_scope")
	problemAPIAccessRequired = newProblem(http.StatusForbidden, "api_access_required")
	problemLimited           = newProblem(http.StatusTooManyRequests, "limit_reached")
	problemUnavailable       = newProblem(http.StatusServiceUnavailable, "unavailable")
	problemInternal          = newProblem(http.StatusInternalServerError, "internal_error")
)

// problemOf returns the response to an error. It tests for an outage first, since an
// outage may wrap another package's error that matches another case.
func problemOf(err error) *problem {
	switch {
	case errors.Is(err, ErrUnavailable):
		return problemUnavailable
	case errors.Is(err, ErrLimited):
		return problemLimited
	case errors.Is(err, ErrAmbiguous):
		return problemAmbiguous
	case errors.Is(err, ErrUnauthenticated):
		return problemUnauthorized
	case errors.Is(err, ErrScope):
		return problemScope
	case errors.Is(err, ErrForbidden):
		return problemAPIAccessRequired
	}
	return problemInternal
}

// StatusCode returns the HTTP status that [Manager.Require] sends for an error: 400 for
// [ErrAmbiguous], 401 for [ErrUnauthenticated], 403 for [ErrForbidden] and 503 for
// [ErrUnavailable]. It returns 429 for [ErrLimited], which no validation returns, but
// management calls do. For other errors, and for nil, it returns 500.
func StatusCode(err error) int { return problemOf(err).status }

// WriteError sends the response to a request that [Manager.ValidateRequest] refused,
// as [Manager.Require] does. It calls [Options.ErrorHandler] if that is set. If
// [Principal.Allows] returned false, pass [ErrScope]. Write nothing to w before or
// after this call.
func (m *Manager) WriteError(w http.ResponseWriter, r *http.Request, err error) {
	p := problemOf(err)
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	switch p {
	case problemUnavailable:
		h.Set("Retry-After", retryAfter)
	case problemLimited:
		h.Set("Retry-After", "1")
	}
	if attrs, ok := challenge(p, err); ok {
		h.Set("WWW-Authenticate", `Bearer realm="`+m.opts.Realm+`"`+attrs)
	}
	if m.opts.ErrorHandler != nil {
		a := &errorResponse{ResponseWriter: w, status: p.status}
		hooked := &hookedWriter{ResponseWriter: w, begin: a.begin}
		m.serveNext(hooked.writer(), r, r.WithContext(r.Context()), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			m.opts.ErrorHandler(w, r, err)
		}))
		if a.written {
			return
		}
	}
	p.write(w, r)
}

func (p *problem) write(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Type", "application/problem+json")
	h.Set("Content-Length", p.length)
	w.WriteHeader(p.status)
	if r.Method != http.MethodHead {
		w.Write(p.body)
	}
}

// challenge returns the attributes that follow the realm in WWW-Authenticate
// (RFC 6750, section 3), and whether the response has that header. The response for a
// plan without API access has none, since another token would not help.
func challenge(p *problem, err error) (attrs string, ok bool) {
	switch p {
	case problemUnauthorized:
		if errors.Is(err, ErrMissing) {
			return "", true
		}
		return `, error="invalid_token"`, true
	case problemAmbiguous:
		return `, error="invalid_request"`, true
	case problemScope:
		attrs = `, error="insufficient_scope"`
		if e := (*scopeError)(nil); errors.As(err, &e) {
			attrs += `, scope="` + strings.Join(e.scopes, " ") + `"`
		}
		return attrs, true
	}
	return "", false
}

// validateRealm checks [Options.Realm], which is sent as a quoted string.
func validateRealm(realm string) error {
	if realm == "" || len(realm) > maxRealm {
		return &InvalidError{Field: "Realm", Reason: fmt.Sprintf("must have 1 to %d bytes", maxRealm)}
	}
	if !text.IsPrintableASCII(realm) || strings.ContainsAny(realm, `"\`) {
		return &InvalidError{Field: "Realm", Reason: `must be printable ASCII without " and \`}
	}
	return nil
}

// A scopeError is [ErrScope] with the scopes that the route requires.
type scopeError struct{ scopes []string }

func (e *scopeError) Error() string { return ErrScope.Error() + ": " + strings.Join(e.scopes, " ") }

func (e *scopeError) Unwrap() error { return ErrScope }

// An errorResponse observes what [Options.ErrorHandler] writes. It records whether the
// handler wrote a response. If the handler sets no status, the errorResponse sends the
// problem's status instead of 200.
type errorResponse struct {
	http.ResponseWriter
	status  int
	written bool
}

func (a *errorResponse) begin(status int) {
	switch {
	case status == 0 && !a.written:
		a.written = true
		a.ResponseWriter.WriteHeader(a.status)
	case isFinal(status):
		a.written = true
	}
}
