package webhook

import (
	"cmp"
	"slices"
	"time"

	"github.com/keyhatch/keyhatch/entitlement"
)

func identifyStripeInvoice(d fields, e *Event) {
	e.Payment, e.Customer = d.text("id"), d.id("customer")
	e.Subscription = d.id("subscription")
	if parent := d.objectOr("parent").objectOr("subscription_details"); e.Subscription == "" {
		e.Subscription = parent.id("subscription") // since API version 2025-03-31.basil
	}
}

// readStripeInvoice reads what a paid invoice paid for. Before API version
// 2025-03-31.basil, an invoice has its charge.
func readStripeInvoice(d fields, e Event) (r entitlement.Report, ok bool) {
	if e.Subscription == "" {
		return r, false
	}
	p := newPayment(e, d.amount("amount_paid"), d.currency("currency"))
	p.PeriodStart, p.PeriodEnd = stripePaidPeriod(d, d.object("lines"))
	r.Payment = p
	if id := stripeCharge(d); id != "" {
		r.Charge = &entitlement.Charge{ID: id, Payment: p.ID, UpdatedAt: e.At}
	}
	return r, true
}

// stripePaidPeriod returns the last period of the lines that are for a whole period or, if
// there are none, of all lines. An event has at most ten lines, and changes come first: if the
// others are missing, the period begins with the invoice and ends with the next payment's.
func stripePaidPeriod(invoice, lines fields) (from, to time.Time) {
	all := lines.objects("data")
	whole := slices.DeleteFunc(slices.Clone(all), isStripeChange)
	switch {
	case len(whole) > 0:
	case lines.flag("has_more"):
		return invoice.unix("created"), time.Time{}
	default:
		whole = all
	}
	for _, line := range whole {
		start, end := line.object("period").unix("start"), line.object("period").unix("end")
		switch {
		case end.After(to): // metered usage is billed for the period before
			from, to = start, end
		case end.Equal(to):
			from = earliest(from, start)
		}
	}
	if len(whole) == 0 {
		lines.fail("data", "a line with a period")
	}
	return from, to
}

// isStripeChange reports whether a line of an invoice is for a change within a period, or
// for something else than a subscription.
func isStripeChange(line fields) bool {
	if line.has("proration") || line.has("type") { // before API version 2025-03-31.basil
		return line.flag("proration") || line.textOr("type", "") == "invoiceitem"
	}
	details := line.objectOr("parent").objectOr("subscription_item_details")
	return details.values == nil || details.flag("proration")
}

// stripeCharge returns the ID by which refunds and disputes name a payment: the payment
// intent, or the charge if there is none. It returns "" if there is neither.
func stripeCharge(d fields) string { return cmp.Or(d.id("payment_intent"), d.id("charge")) }

func identifyStripeCharge(d fields, e *Event) { e.Payment = d.id("invoice") }

// readStripeCharge reads an "invoice_payment": which invoice a charge has paid.
func readStripeCharge(d fields, e Event) (r entitlement.Report, ok bool) {
	id := stripeCharge(d.object("payment"))
	if e.Payment == "" {
		d.fail("invoice", "an id")
	}
	r.Charge = &entitlement.Charge{ID: id, Payment: e.Payment, UpdatedAt: e.At}
	return r, id != "" // a payment outside of Stripe has none, and cannot be refunded
}

func identifyStripeReversal(d fields, e *Event) {
	e.Payment, e.Metadata = stripeCharge(d), d.metadata("metadata")
}

func readStripeRefund(d fields, e Event) (r entitlement.Report, ok bool) {
	v := newReversal(e, entitlement.Refund, d.text("id"))
	v.Charge, v.Payment = e.Payment, ""
	v.Amount, v.Currency = d.amount("amount"), d.currency("currency")
	switch d.text("status") {
	case "pending", "requires_action":
		v.Version = version(incomplete, e.ID)
	case "succeeded":
		v.Version = version(active, e.ID)
	case "failed", "canceled":
		v.Released, v.Version = true, version(ended, e.ID)
	default:
		failUnknown(d, "status")
	}
	r.Reversal = v
	return r, e.Payment != "" // a refund of the customer's balance has no charge
}

func readStripeDispute(d fields, e Event) (r entitlement.Report, ok bool) {
	v := newReversal(e, entitlement.Dispute, d.text("id"))
	v.Charge, v.Payment = e.Payment, ""
	if e.Payment == "" {
		d.fail("charge", "an id")
	}
	switch d.text("status") {
	case "warning_needs_response", "warning_under_review": // an inquiry
		v.Released, v.Version = true, version(incomplete, e.ID)
	case "needs_response", "under_review":
		v.Version = version(pastDue, e.ID)
	case "won", "warning_closed":
		v.Released, v.Version = true, version(ended, e.ID)
	case "lost", "prevented":
		v.Version = version(deleted, e.ID)
	default:
		failUnknown(d, "status")
	}
	r.Reversal = v
	return r, true
}
