package webhook

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"

	"github.com/keyhatch/keyhatch/entitlement"
	"github.com/keyhatch/keyhatch/internal/strictjson"
)

const (
	// maxBody is several times the size of the largest events, in bytes.
	maxBody = 256 << 10

	// readTime is the time in which a body must arrive. workTime bounds the calls to the
	// Store and the host's functions together. Billing systems give up after 10 seconds or
	// more; Polar is the first.
	readTime = 10 * time.Second
	workTime = 8 * time.Second
)

// A Handler receives the events of one [Source]. Create it with [New]. It may
// be mounted under any path and serves requests concurrently.
//
// A body must arrive within 10 seconds. The calls to the Store and to the functions in
// Options have 8 seconds together, even if the billing system disconnects.
type Handler struct {
	store    Store
	source   Source
	catalog  *entitlement.Catalog
	products products
	opts     Options
}

// ServeHTTP implements [http.Handler]. The package documentation lists the
// statuses.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		respond(w, http.StatusMethodNotAllowed)
		return
	}
	// If w does not support deadlines, the server's own apply. After a refusal,
	// the server reads the rest of the request within the same deadline.
	deadline := http.NewResponseController(w)
	deadline.SetReadDeadline(time.Now().Add(readTime))
	s, body, status, err := h.receive(w, r)
	if err != nil {
		h.opts.Logger.InfoContext(r.Context(), "webhook: request refused",
			"source", h.source.name, "remote", r.RemoteAddr, "reason", err.Error())
		respond(w, status)
		return
	}
	deadline.SetReadDeadline(time.Time{})
	// Process a complete event even if the billing system disconnects: it may
	// have been the last try.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), workTime)
	defer cancel()
	e := Event{ID: s.event, Body: body}
	respond(w, h.finish(ctx, &e, h.process(ctx, &e)))
}

// receive returns an authentic body. It checks the headers before it reads the
// body, since anyone can send a body.
func (h *Handler) receive(w http.ResponseWriter, r *http.Request) (s signature, body []byte, status int, err error) {
	if h.source.isCustom() {
		return h.receiveCustom(w, r)
	}
	if s, err = h.source.signature(r.Header); err != nil {
		if err == errUnsigned {
			return s, nil, http.StatusUnauthorized, err
		}
		return s, nil, http.StatusBadRequest, err
	}
	if !s.isFresh(time.Now()) {
		return s, nil, http.StatusUnauthorized, errStale
	}
	if body, status, err = read(w, r); err != nil {
		return s, nil, status, err
	}
	if !s.isSignedBy(h.source.keys(), body) {
		return s, nil, http.StatusUnauthorized, errForged
	}
	return s, body, http.StatusOK, nil
}

// receiveCustom reads the body before it checks the headers, since only the host's code
// knows them.
func (h *Handler) receiveCustom(w http.ResponseWriter, r *http.Request) (s signature, body []byte, status int, err error) {
	defer func() {
		if p := recover(); p != nil {
			status, err = http.StatusServiceUnavailable, fmt.Errorf("verify: panic: %v", p)
		}
	}()
	if body, status, err = read(w, r); err != nil {
		return s, nil, status, err
	}
	if s.event, err = h.source.verify(r.Header, body); err != nil {
		return s, nil, http.StatusUnauthorized, err
	}
	return s, body, http.StatusOK, nil
}

func read(w http.ResponseWriter, r *http.Request) (body []byte, status int, err error) {
	if r.ContentLength > maxBody {
		return nil, http.StatusRequestEntityTooLarge, errors.New("the body is too large")
	}
	if r.Body == nil { // never from a server, but from tests
		r.Body = http.NoBody
	}
	body, err = io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	var tooLong *http.MaxBytesError
	switch {
	case errors.As(err, &tooLong):
		return nil, http.StatusRequestEntityTooLarge, err
	case err != nil:
		return nil, http.StatusBadRequest, err
	}
	return body, http.StatusOK, nil
}

// process processes an authentic event. Its error is errIgnored, a *rejection, or an
// outage. It recovers from panics of the host's code: otherwise the server would close
// the connection, and the log would not name the event.
func (h *Handler) process(ctx context.Context, e *Event) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = &outage{"process", fmt.Errorf("panic: %v", p)}
		}
	}()
	applied, err := h.apply(ctx, e)
	if err != nil {
		return err
	}
	// Call Changed even if the write has changed nothing, since an earlier try may have
	// been interrupted between the write and Changed.
	for _, owner := range applied.Owners {
		h.callChanged(ctx, e, owner)
	}
	return nil
}

// callChanged calls Options.Changed and logs its failure. The state is stored, so other
// instances see it anyway, and the billing system need not try again. A Changed that hangs
// leaves half of the remaining time to the next one.
func (h *Handler) callChanged(ctx context.Context, e *Event, owner string) {
	left := workTime
	if end, ok := ctx.Deadline(); ok {
		left = time.Until(end)
	}
	call, cancel := context.WithTimeout(ctx, left/2)
	defer cancel()
	if err := h.changed(call, owner); err != nil {
		h.opts.Logger.ErrorContext(ctx, "webhook: event stored, but Options.Changed failed; the change may take effect later",
			"source", h.source.name, "event", e.ID, "type", e.Type, "error", err.Error())
	}
}

func (h *Handler) changed(ctx context.Context, owner string) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	return h.opts.Changed(ctx, owner)
}

// maxDepth is the maximum nesting of objects and lists. No billing system needs more
// than ten levels.
const maxDepth = 64

// open parses the event, reads its type and its IDs, and checks its origin. It returns the
// event's object and what it is about.
func (h *Handler) open(e *Event) (fields, subject, error) {
	values, err := strictjson.Parse(e.Body, strictjson.Rules{MaxDepth: maxDepth})
	if err != nil {
		return fields{}, subject{}, &rejection{err}
	}
	d := newFields(values)
	h.source.label(d, e)
	if err := d.err(); err != nil {
		return d, subject{}, &rejection{err}
	}
	about, ok := h.source.subjects[e.Type]
	if !ok {
		return d, about, errIgnored
	}
	d = h.source.contents(d, e)
	about.identify(d, e)
	return d, about, reject(cmp.Or(d.err(), h.checkOrigin(*e)))
}

// apply stores what the event reports.
func (h *Handler) apply(ctx context.Context, e *Event) (entitlement.Applied, error) {
	if h.source.isCustom() {
		return h.applyCustom(ctx, *e)
	}
	d, about, err := h.open(e)
	if err == nil {
		err = h.checkIgnored(ctx, *e)
	}
	switch {
	case err != nil:
		return entitlement.Applied{}, err
	case about.subscription == nil:
		report, ok := about.payment(d, *e)
		if err := d.err(); err != nil {
			return entitlement.Applied{}, &rejection{err}
		}
		if !ok {
			return entitlement.Applied{}, errIgnored
		}
		return h.applyReport(ctx, *e, report)
	case h.opts.Refetch != nil:
		return h.applyFetched(ctx, *e)
	}
	s, err := h.products.subscription(*e, about.subscription(d, *e))
	if err := d.err(); err != nil {
		return entitlement.Applied{}, &rejection{err}
	}
	if err != nil {
		return entitlement.Applied{}, err
	}
	return h.applySubscription(ctx, *e, s)
}

// checkOrigin returns an error if the event is of another account or of test mode.
func (h *Handler) checkOrigin(e Event) error {
	switch {
	case e.Account != h.source.account && !slices.Contains(h.opts.Accounts, e.Account):
		return fmt.Errorf("the event is of the account %q, which is neither that of the Source nor in Options.Accounts", e.Account)
	case e.TestMode && !h.opts.InsecureTestMode:
		return errors.New("the event is of test mode, and Options.InsecureTestMode is not set")
	}
	return nil
}

// checkIgnored returns errIgnored if the host wants to ignore the event.
func (h *Handler) checkIgnored(ctx context.Context, e Event) error {
	switch ignored, err := h.opts.Ignore(ctx, e); {
	case err != nil:
		return failure("Ignore", err)
	case ignored:
		return errIgnored
	}
	return nil
}

func (h *Handler) applyCustom(ctx context.Context, e Event) (entitlement.Applied, error) {
	if err := h.checkIgnored(ctx, e); err != nil {
		return entitlement.Applied{}, err
	}
	report, err := h.source.parse(e.ID, e.Body)
	switch {
	case err != nil:
		return entitlement.Applied{}, &rejection{err}
	case report.Subscription == nil && report.Payment == nil && report.Charge == nil && report.Reversal == nil:
		return entitlement.Applied{}, errIgnored
	}
	return h.applyReport(ctx, e, report)
}

func (h *Handler) applyReport(ctx context.Context, e Event, report entitlement.Report) (entitlement.Applied, error) {
	report.Source, report.Event = h.source.name, e.ID
	applied, err := h.store.Apply(ctx, report)
	if err != nil {
		return applied, failure("Apply", err)
	}
	return applied, nil
}

// applyFetched stores the fetched state. If the fetch of the stored state began at the
// same instant or later, either state may be the newer one, so applyFetched fetches
// again. If the stored state is still newer, the clock of another instance is ahead, and
// the billing system tries again later.
func (h *Handler) applyFetched(ctx context.Context, e Event) (entitlement.Applied, error) {
	for range 2 {
		s, err := h.refetch(ctx, e)
		if err != nil {
			return entitlement.Applied{}, err
		}
		applied, err := h.applySubscription(ctx, e, s)
		if err != nil || applied.Changed {
			return applied, err
		}
	}
	return entitlement.Applied{}, &outage{"Apply", errors.New("the stored state is newer than the state fetched just now, so the clocks of instances differ; synchronize them")}
}

// applySubscription completes the state of a subscription from the event, and stores it.
func (h *Handler) applySubscription(ctx context.Context, e Event, s entitlement.Subscription) (applied entitlement.Applied, err error) {
	s.Customer = cmp.Or(s.Customer, e.Customer)
	r := entitlement.Report{Subscription: &s}
	switch {
	case s.Owner != "":
	case h.opts.Owner == nil:
		r.Owners = namedOwners(e)
	default:
		if s.Owner, err = h.opts.Owner(ctx, e); err != nil {
			return applied, failure("Owner", err)
		}
	}
	return h.applyReport(ctx, e, r)
}

// refetch returns the state from the billing system. Its UpdatedAt is the time before
// the call, so that a change during the call is newer. Its Version is zero: of two
// fetches that began at the same instant, neither is known to be newer.
func (h *Handler) refetch(ctx context.Context, e Event) (entitlement.Subscription, error) {
	began := time.Now().UTC().Truncate(time.Microsecond)
	s, err := h.opts.Refetch(ctx, e)
	if err != nil {
		return s, failure("Refetch", err)
	}
	s.UpdatedAt, s.Version = began, 0
	if s.ID == "" {
		s.ID = e.Subscription
	}
	if !s.Status.Valid() {
		return s, reject(fmt.Errorf("unknown status %q from Options.Refetch", s.Status))
	}
	if s.Status != entitlement.Ended {
		if _, err := h.catalog.Plan(s.Plan); err != nil {
			return s, &rejection{err}
		}
	}
	return s, nil
}

// Transfer moves a subscription of the source to another owner, and calls
// [Options.Changed] for both. If the billing system's metadata names the owner, change it
// there as well: until then, events that name the previous owner are still accepted.
//
// Transfer returns an [*entitlement.InvalidError] if there is no such subscription or if
// the owner is invalid, and an error of the [Store] or of Changed. If Changed fails, the
// move is stored all the same and takes effect later, as after an event.
func (h *Handler) Transfer(ctx context.Context, subscription, owner string) error {
	previous, err := h.store.SetOwner(ctx, h.source.name, subscription, owner)
	if err != nil {
		return fmt.Errorf("webhook: transfer: %w", err)
	}
	for _, who := range []string{previous, owner} {
		if who != "" { // an ended subscription may have had no owner
			err = errors.Join(err, h.changed(ctx, who))
		}
	}
	if err != nil {
		return fmt.Errorf("webhook: transfer: stored, but Options.Changed failed; it may take effect later: %w", err)
	}
	return nil
}

// Replay processes an event that was saved as rejected, after its cause was fixed. The ID
// and the body are those that [Store.SaveRejected] was called with. The event counts as
// authentic, so pass only what was saved. Replay deletes the saved event if it was processed or
// does not concern plans any more. If it cannot be used yet, Replay saves it again and returns
// an error with the reason.
func (h *Handler) Replay(ctx context.Context, id string, body []byte) error {
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
