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

// retryAfter is the Retry-After of an outage, in seconds. Senders wait longer
// anyway.
const retryAfter = "5"

// A refusal is the reason why an authentic event cannot be used.
type refusal struct{ reason error }

func (r *refusal) Error() string { return r.reason.Error() }

func refused(reason error) error {
	if reason == nil {
		return nil
	}
	return &refusal{reason}
}

// An outage is a failure of the host's code. It does not unwrap the error,
// which could match an error of this package.
type outage struct {
	of  string
	err error
}

func (o *outage) Error() string { return o.of + ": " + o.err.Error() }

// settle logs the result of an event and returns the status of the response.
func (h *Handler) settle(ctx context.Context, e *Event, err error) int {
	log := h.opts.Logger.With("sender", h.from.name, "event", e.ID, "type", e.Type)
	var no *refusal
	switch {
	case err == nil:
		log.DebugContext(ctx, "webhook: event processed")
		return http.StatusOK
	case errors.Is(err, ErrIgnore):
		log.DebugContext(ctx, "webhook: event ignored")
		return http.StatusOK
	case errors.As(err, &no):
		log.ErrorContext(ctx, "webhook: event refused", "reason", err.Error())
		if err = h.keep(ctx, e, no); err == nil {
			return http.StatusUnprocessableEntity
		}
	}
	log.ErrorContext(ctx, "webhook: event failed", "error", err.Error())
	return http.StatusServiceUnavailable
}

// keep stores a refused event. A malformed one may have no ID; a hash of its
// body is used instead.
func (h *Handler) keep(ctx context.Context, e *Event, no *refusal) (err error) {
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
	return h.table.SaveRejected(ctx, id, time.Now(), no.Error(), e.Body)
}

// answer sends no body, so that a forger learns nothing.
func answer(w http.ResponseWriter, status int) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Length", "0")
	if status == http.StatusServiceUnavailable {
		h.Set("Retry-After", retryAfter)
	}
	w.WriteHeader(status)
}
