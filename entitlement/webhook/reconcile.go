package webhook

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/keyhatch/keyhatch/entitlement"
)

// A Reconciliation is the result of [Handler.Reconcile].
type Reconciliation struct {
	Read    int // reports that the billing system's API returned
	Changed int // reports that were stored, since they differed from the stored state

	// Rejected has the reason for each report that could not be used.
	Rejected []error

	// Missing lists stored subscriptions that have not ended and that the API did not
	// return. They are not changed.
	Missing []string
}

// pageSize is the number of stored subscriptions that Reconcile reads at once.
const pageSize = 1000

// Reconcile compares what is stored with what the billing system's API returns, and stores
// what differs. It is for events that were never received: call it after an outage, and
// once a day if you like.
//
// The reports must contain all subscriptions of the source, also those that have ended,
// each with its current state. A PeriodEnd is the one that the billing system reports; set
// CancelAtPeriodEnd if it is the last one. Add the payments, charges, refunds and disputes if
// their events may have been missed too. An error in the sequence ends the pass. The UpdatedAt of
// a part may be zero. Then it is the second in which Reconcile was called, by the host's
// clock, which must agree with that of the billing system. Events that are received
// meanwhile are not overwritten.
//
// The Source of a report, and of its parts, is that of the Handler or empty. A report of
// another source is not stored: Rejected then has an [*entitlement.InvalidError].
//
// Reconcile calls [Options.Changed] for each owner whose purchases have changed. It
// remembers the IDs of all subscriptions while it runs. It returns an error if the sequence
// or the [Store] does. What was stored until then stays.
func (h *Handler) Reconcile(ctx context.Context, reports iter.Seq2[entitlement.Report, error]) (r Reconciliation, err error) {
	began := time.Now().UTC().Truncate(time.Second) // as Stripe truncates the times of its events
	listed := map[string]bool{}
	for report, err := range reports {
		if err != nil {
			return r, fmt.Errorf("webhook: reconcile: %w", err)
		}
		r.Read++
		if err := h.checkSources(report); err != nil {
			r.Rejected = append(r.Rejected, err)
			continue
		}
		if report.Subscription != nil {
			listed[report.Subscription.ID] = true
		}
		if err := h.reconcileOne(ctx, asOf(report, began), &r); err != nil {
			return r, fmt.Errorf("webhook: reconcile: %w", err)
		}
	}
	r.Missing, err = h.missing(ctx, listed)
	if err != nil {
		err = fmt.Errorf("webhook: reconcile: %w", err)
	}
	return r, err
}

func (h *Handler) reconcileOne(ctx context.Context, report entitlement.Report, r *Reconciliation) error {
	report.Source, report.Event, report.Snapshot = h.source.name, "", true
	applied, err := h.store.Apply(ctx, report)
	var invalid *entitlement.InvalidError
	switch {
	case errors.As(err, &invalid):
		r.Rejected = append(r.Rejected, err)
		return nil
	case err != nil:
		return err
	case applied.Changed:
		r.Changed++
		for _, owner := range applied.Owners {
			h.callChanged(ctx, &Event{Type: "reconciliation"}, owner)
		}
	}
	return nil
}

// asOf returns a copy of the report in which every part has a time.
func asOf(r entitlement.Report, at time.Time) entitlement.Report {
	if r.Subscription != nil {
		s := *r.Subscription
		s.UpdatedAt, r.Subscription = orAt(s.UpdatedAt, at), &s
	}
	if r.Payment != nil {
		p := *r.Payment
		p.UpdatedAt, r.Payment = orAt(p.UpdatedAt, at), &p
	}
	if r.Charge != nil {
		c := *r.Charge
		c.UpdatedAt, r.Charge = orAt(c.UpdatedAt, at), &c
	}
	if r.Reversal != nil {
		v := *r.Reversal
		v.UpdatedAt, r.Reversal = orAt(v.UpdatedAt, at), &v
	}
	return r
}

func orAt(t, at time.Time) time.Time {
	if t.IsZero() {
		return at
	}
	return t
}

// missing returns the stored subscriptions that have not ended and are not listed.
func (h *Handler) missing(ctx context.Context, listed map[string]bool) (ids []string, err error) {
	for after := ""; ; {
		page, err := h.store.Subscriptions(ctx, h.source.name, after, pageSize)
		if err != nil {
			return nil, err
		}
		for _, s := range page {
			after = s.ID
			if s.Status != entitlement.Ended && !listed[s.ID] {
				ids = append(ids, s.ID)
			}
		}
		if len(page) < pageSize {
			return ids, nil
		}
	}
}
