package webhook

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"time"
)

// retryAfter is the Retry-After of an outage, in seconds. Billing systems wait
// longer anyway.
const retryAfter = "5"

// A rejection is the reason why an authentic event cannot be used.
type rejection struct{ reason error }

func (r *rejection) Error() string { return r.reason.Error() }

// reject returns a rejection, or nil if reason is nil.
func reject(reason error) error {
	if reason == nil {
		return nil
	}
	return &rejection{reason}
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
	case errors.Is(err, ErrIgnore):
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

// saveRejected saves a rejected event. A malformed one may have no ID; a hash of its
// body is used instead.
func (h *Handler) saveRejected(ctx context.Context, e *Event, rejected *rejection) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("SaveRejected: panic: %v", p)
		}
	}()
	id := e.ID
	if id == "" {
		hash := sha256.Sum256(e.Body)
		id = "sha256:" + hex.EncodeToString(hash[:])
	}
	return h.store.SaveRejected(ctx, id, time.Now(), rejected.Error(), e.Body)
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
