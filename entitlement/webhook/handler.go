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
	"github.com/keyhatch/keyhatch/internal/text"
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

// process processes an authentic event. Its error is [ErrIgnore], a *rejection,
// or an outage. It recovers from panics of the host's code: otherwise the
// server would close the connection, and the log would not name the event.
func (h *Handler) process(ctx context.Context, e *Event) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = &outage{"process", fmt.Errorf("panic: %v", p)}
		}
	}()
	d, err := h.open(e)
	if err != nil {
		return err
	}
	subject, ok := h.source.subjects[e.Type]
	if !ok {
		return ErrIgnore
	}
	processed, err := h.store.IsProcessed(ctx, e.ID)
	if err != nil {
		return &outage{"IsProcessed", err}
	}
	if processed {
		return ErrIgnore
	}
	owner, err := h.write(ctx, d, e, subject)
	if err != nil {
		return err
	}
	// Call Changed even if the write has changed nothing, since an earlier try may have
	// been interrupted between the write and Changed. Call it before the event is marked:
	// once it is, no later try calls Changed.
	h.callChanged(ctx, e, owner)
	if err := h.store.MarkProcessed(ctx, e.ID, time.Now()); err != nil {
		return &outage{"MarkProcessed", err}
	}
	return nil
}

// callChanged calls Options.Changed and logs its failure. The state is stored, so other
// instances see it anyway, and the billing system need not try again. A Changed that hangs
// leaves half of the remaining time to MarkProcessed.
func (h *Handler) callChanged(ctx context.Context, e *Event, owner string) {
	end, _ := ctx.Deadline() // that of workTime
	call, cancel := context.WithTimeout(ctx, time.Until(end)/2)
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

// open parses the event and reads its type and ID.
func (h *Handler) open(e *Event) (fields, error) {
	values, err := strictjson.Parse(e.Body, strictjson.Rules{MaxDepth: maxDepth})
	if err != nil {
		return fields{}, &rejection{err}
	}
	d := newFields(values)
	h.source.label(d, e)
	return d, reject(d.err())
}

// write stores the state that the event reports, and returns its owner.
func (h *Handler) write(ctx context.Context, d fields, e *Event, about subject) (owner string, err error) {
	data := h.source.contents(d, e)
	about.identify(data, e)
	if err := cmp.Or(d.err(), h.checkOrigin(*e)); err != nil {
		return "", &rejection{err}
	}
	if about.hold != nil {
		return h.writeHold(ctx, data, *e, about)
	}
	return h.writeSubscription(ctx, data, *e, about)
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

func (h *Handler) writeHold(ctx context.Context, data fields, e Event, about subject) (owner string, err error) {
	hold, ignored := about.hold(data, e)
	if err := data.err(); err != nil {
		return "", &rejection{err}
	}
	// The refund of a product that is known to have no plan changes nothing.
	if plan, ok := h.products.find(e.Products); ignored || ok && plan == "" {
		return "", ErrIgnore
	}
	if hold.Owner, err = h.owner(ctx, e); err == nil {
		err = checkNames(hold.Owner, hold.ID)
	}
	if err != nil {
		return "", err
	}
	if _, err := h.store.PutHold(ctx, hold); err != nil {
		return "", &outage{"PutHold", err}
	}
	return hold.Owner, nil
}

// writeSubscription stores the state in the event, or the fetched one.
func (h *Handler) writeSubscription(ctx context.Context, data fields, e Event, about subject) (owner string, err error) {
	if h.opts.Refetch != nil {
		return h.writeFetched(ctx, e)
	}
	s, err := h.fromEvent(data, e, about)
	if err == nil {
		_, err = h.put(ctx, e, &s)
	}
	return s.Owner, err
}

// writeFetched stores the fetched state. If the fetch of the stored state began at the
// same instant or later, either state may be the newer one, so writeFetched fetches
// again. If the stored state is still newer, the clock of another instance is ahead, and
// the billing system tries again later.
func (h *Handler) writeFetched(ctx context.Context, e Event) (owner string, err error) {
	for range 2 {
		s, err := h.refetch(ctx, e)
		changed := false
		if err == nil {
			changed, err = h.put(ctx, e, &s)
		}
		if err != nil || changed {
			return s.Owner, err
		}
	}
	return "", &outage{"Put", errors.New("the stored state is newer than the state fetched just now, so the clocks of instances differ; synchronize them")}
}

// put sets the owner, if s has none, and stores s.
func (h *Handler) put(ctx context.Context, e Event, s *entitlement.Subscription) (changed bool, err error) {
	if s.Owner == "" {
		s.Owner, err = h.owner(ctx, e)
	}
	if err == nil {
		err = checkNames(s.Owner, s.ID)
	}
	if err != nil {
		return false, err
	}
	changed, err = h.store.Put(ctx, *s)
	switch {
	case errors.Is(err, entitlement.ErrUnknownPlan):
		return false, &rejection{err} // the Store has another catalog
	case err != nil:
		return false, &outage{"Put", err}
	}
	return changed, nil
}

func checkNames(owner, id string) error {
	if err := text.CheckID(owner); err != nil {
		return reject(fmt.Errorf("invalid owner: %w", err))
	}
	if err := text.CheckID(id); err != nil {
		return reject(fmt.Errorf("invalid id: %w", err))
	}
	return nil
}

// fromEvent returns the state in the event itself.
func (h *Handler) fromEvent(data fields, e Event, about subject) (entitlement.Subscription, error) {
	s := about.subscription(data, e)
	if err := data.err(); err != nil {
		return entitlement.Subscription{}, &rejection{err}
	}
	return h.products.subscription(e, s)
}

// refetch returns the state from the billing system. Its UpdatedAt is the time before
// the call, so that a change during the call is newer. Its Version is zero: of two
// fetches that began at the same instant, neither is known to be newer.
func (h *Handler) refetch(ctx context.Context, e Event) (entitlement.Subscription, error) {
	began := time.Now().UTC().Truncate(time.Microsecond)
	s, err := h.opts.Refetch(ctx, e)
	if err != nil {
		return s, &outage{"Refetch", err}
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

func (h *Handler) owner(ctx context.Context, e Event) (string, error) {
	owner, err := h.opts.Owner(ctx, e)
	switch {
	case errors.Is(err, ErrIgnore):
		return "", ErrIgnore
	case err != nil:
		return "", &outage{"Owner", err}
	}
	return owner, nil
}
