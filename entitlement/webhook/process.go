package webhook

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/keyhatch/keyhatch/entitlement"
	"github.com/keyhatch/keyhatch/internal/strictjson"
)

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
	// Call Changed even if the write has changed nothing, since an earlier try may have
	// been interrupted between the write and Changed, and even if Apply has failed after
	// it stored a part.
	for _, owner := range applied.Owners {
		h.callChanged(ctx, e, owner)
	}
	return err
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
		return h.applyPayment(ctx, *e, d, about)
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

// applyPayment stores the payment, charge, refund or dispute of the event.
func (h *Handler) applyPayment(ctx context.Context, e Event, d fields, about subject) (entitlement.Applied, error) {
	report, ok := about.report(d, e)
	if err := d.err(); err != nil {
		return entitlement.Applied{}, &rejection{err}
	}
	if !ok {
		return entitlement.Applied{}, errIgnored
	}
	return h.applyReport(ctx, e, report)
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
	if err := h.checkSources(report); err != nil { // a function of the host has returned another source
		return entitlement.Applied{}, &rejection{err}
	}
	report.Source, report.Event = h.source.name, e.ID
	applied, err := h.store.Apply(ctx, report)
	if err != nil {
		return applied, failure("Apply", err)
	}
	if applied.Incomplete && report.Reversal != nil && !report.Reversal.Released {
		h.opts.Logger.WarnContext(ctx, "webhook: refund or dispute stored, but not the payment that it takes back, or not that payment's subscription;"+
			" it ends nothing until they arrive; if the payment was for a subscription, check that the endpoint selects the events of"+
			" subscriptions and payments, such as Stripe's invoice.paid and invoice_payment.paid",
			"source", h.source.name, "event", e.ID, "type", e.Type)
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
