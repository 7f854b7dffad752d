package webhook

import (
	"context"
	"errors"
	"net/http"

	"github.com/keyhatch/keyhatch/entitlement"
)

// retryAfter is the Retry-After of an outage, in seconds. Billing systems wait
// longer anyway.
const retryAfter = "5"

// failure returns the error of a call of the host's code: a rejection if it matches
// [*entitlement.InvalidError], and otherwise an outage.
func failure(of string, err error) error {
	var invalid *entitlement.InvalidError
	if errors.As(err, &invalid) {
		return &rejection{invalid}
	}
	return &outage{of, err}
}

// An outage is a failure of the host's code. It does not unwrap the error,
// which could match an error of this package.
type outage struct {
	of  string
	err error
}

func (o *outage) Error() string { return o.of + ": " + o.err.Error() }

// finish logs the result of an event, saves a rejected event, and returns the status of
// the response.
func (h *Handler) finish(ctx context.Context, e *Event, err error) int {
	log := h.opts.Logger.With("source", h.source.name, "event", e.ID, "type", e.Type)
	var rejected *rejection
	switch {
	case err == nil:
		log.DebugContext(ctx, "webhook: event processed")
		return http.StatusOK
	case errors.Is(err, errIgnored):
		log.DebugContext(ctx, "webhook: event ignored")
		return http.StatusOK
	case errors.As(err, &rejected):
		log.ErrorContext(ctx, "webhook: event rejected", "reason", err.Error())
		if err = h.saveRejected(ctx, e, rejected); err == nil {
			return http.StatusUnprocessableEntity
		}
	}
	log.ErrorContext(ctx, "webhook: event failed", "error", err.Error())
	return http.StatusServiceUnavailable
}

// respond sends no body, so that a forger learns nothing.
func respond(w http.ResponseWriter, status int) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Length", "0")
	if status == http.StatusServiceUnavailable {
		h.Set("Retry-After", retryAfter)
	}
	w.WriteHeader(status)
}
