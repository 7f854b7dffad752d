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

// retryAfter is what a sender is asked to wait in an outage, in seconds. They
// wait for longer anyway.
const retryAfter = "5"

// A refusal is of an event that is authentic and of no use as things stand.
type refusal struct{ reason error }

func (r *refusal) Error() string { return r.reason.Error() }

func refused(reason error) error {
	if reason == nil {
		return nil
	}
	return &refusal{reason}
}

// An outage is a failure of the host's code. It hides the error, which could
// otherwise pass for one of ours.
type outage struct {
	of  string
	err error
}

func (o *outage) Error() string { return o.of + ": " + o.err.Error() }

// settle returns the status that answers an event.
func (h *Handler) settle(ctx context.Context, e *Event, err error) int {
	log := h.opts.Logger.With("sender", h.from.name, "event", e.ID, "type", e.Type)
	var no *refusal
	switch {
	case err == nil:
		log.DebugContext(ctx, "webhook: took an event")
		return http.StatusOK
	case errors.Is(err, ErrIgnore):
		log.DebugContext(ctx, "webhook: ignored an event")
		return http.StatusOK
	case errors.As(err, &no):
		log.ErrorContext(ctx, "webhook: refused an event", "reason", err.Error())
		if err = h.keep(ctx, e, no); err == nil {
			return http.StatusUnprocessableEntity
		}
	}
	log.ErrorContext(ctx, "webhook: could not deal with an event", "error", err.Error())
	return http.StatusServiceUnavailable
}

// keep keeps an event that was refused. One without an id, which is malformed, is
// told from others by a hash.
func (h *Handler) keep(ctx context.Context, e *Event, no *refusal) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("KeepRefused: panic: %v", p)
		}
	}()
	id := e.ID
	if id == "" {
		hash := sha256.Sum256(e.Body)
		id = "sha256:" + hex.EncodeToString(hash[:])
	}
	return h.table.KeepRefused(ctx, id, time.Now(), no.Error(), e.Body)
}

// answer has no body: whoever sends what is not authentic learns nothing.
func answer(w http.ResponseWriter, status int) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Length", "0")
	if status == http.StatusServiceUnavailable {
		h.Set("Retry-After", retryAfter)
	}
	w.WriteHeader(status)
}
