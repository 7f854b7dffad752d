package webhook

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/keyhatch/keyhatch/entitlement"
	"github.com/keyhatch/keyhatch/internal/text"
)

// Replay processes an event that was saved as rejected, after its cause was fixed. The
// source, the ID and the body are those that [Store.SaveRejected] was called with. An empty
// source means that of the Handler. The Source of a rejected event of package sqlprovider
// says which Handler to use. The event counts as authentic, so pass only what was saved.
//
// Replay returns an [*entitlement.InvalidError], and saves nothing, if the source is another
// one than that of the Handler.
//
// Replay deletes the saved event if it was processed or does not concern plans any more. If
// the event still cannot be used, Replay saves it again and returns an error with the
// reason. Any other error is an outage of the [Store] or of a function of the host.
func (h *Handler) Replay(ctx context.Context, source, id string, body []byte) error {
	if err := h.checkSource(source); err != nil {
		return fmt.Errorf("webhook: replay: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, workTime)
	defer cancel()
	e := Event{ID: id, Body: body}
	err := h.process(ctx, &e)
	h.finish(ctx, &e, err)
	if err == errIgnored {
		_, err = h.store.Apply(ctx, entitlement.Report{Source: h.source.name, Event: id}) // deletes the saved event
	}
	if err != nil {
		return fmt.Errorf("webhook: replay: %w", err)
	}
	return nil
}

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

// savedID returns the ID under which an event is saved. If the event has no ID that can be
// stored, savedID returns a hash of the body.
func savedID(e *Event) string {
	if text.CheckID(e.ID) == nil {
		return e.ID
	}
	hash := sha256.Sum256(e.Body)
	return "sha256:" + hex.EncodeToString(hash[:])
}

// saveRejected saves a rejected event.
func (h *Handler) saveRejected(ctx context.Context, e *Event, rejected *rejection) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("SaveRejected: panic: %v", p)
		}
	}()
	return h.store.SaveRejected(ctx, h.source.name, savedID(e), time.Now(), rejected.Error(), e.Body)
}
