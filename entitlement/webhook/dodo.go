package webhook

import (
	"cmp"
	"time"

	"github.com/keyhatch/keyhatch/entitlement"
)

// Dodo returns the Source for the webhooks of Dodo Payments. The secrets are
// the signing secrets of the endpoint, "whsec_…". Select the events
// subscription.*, payment.succeeded, refund.* and dispute.*. The first argument is the ID
// of your business. An event of another business is rejected, unless [Options.Accounts]
// lists it. Dodo's test mode has its own endpoints and secrets, but its events do not name
// the mode: never use a secret of test mode in production.
//
// The owner is read from the metadata of the subscription and of the customer. If both
// are set, they must be the same.
//
// Dodo does not report whether a subscription is on trial. A subscription counts as
// on trial if its next billing date is within the trial period, even if the trial
// costs something. If you extend a trial, the subscription counts as paid.
//
// Dodo does not report the last paid period of a subscription that is on hold or past
// due. That period ends at the time of the event, or at the next billing date if that is
// earlier.
//
// If you do not select payment.succeeded, refunds and disputes are stored but end nothing, and
// each is logged as a warning.
//
// Dodo does not report the period of a payment either. A payment pays for the time until
// the next payment. A change of the plan begins a new period. A refund of the payment for
// the change ends that period.
func Dodo(business string, secrets ...string) Source {
	keys, err := keysOf(secrets, decodedKey)
	if err = cmp.Or(checkAccount("business", business, secrets), err); err != nil {
		business = "" // it may be a secret, which fmt would print
	}
	subscription := subject{identify: identifyDodo, subscription: readDodo}
	payment := subject{identify: identifyDodoPayment, report: readDodoPayment}
	refund := subject{identify: identifyDodoRefund, report: readDodoRefund}
	dispute := subject{identify: identifyDodoDispute, report: readDodoDispute}
	all := map[string]subject{}
	subscription.register(all, "subscription.active", "subscription.renewed", "subscription.updated",
		"subscription.on_hold", "subscription.paused", "subscription.unpaused", "subscription.cancelled",
		"subscription.failed", "subscription.expired", "subscription.plan_changed",
		"subscription.update_payment_method", "subscription.past_due")
	payment.register(all, "payment.succeeded")
	refund.register(all, "refund.succeeded", "refund.failed")
	dispute.register(all, "dispute.opened", "dispute.challenged", "dispute.accepted", "dispute.cancelled",
		"dispute.expired", "dispute.won", "dispute.lost")
	return Source{
		name: "dodo", account: business, keys: func() [][]byte { return keys }, err: err,
		signature: standardSignature, label: standardLabel, contents: dodoContents, subjects: all,
	}
}

func dodoContents(d fields, e *Event) fields {
	e.Account = d.textOr("business_id", "")
	return standardContents(d, e)
}

func identifyDodo(d fields, e *Event) {
	e.Subscription = d.text("subscription_id")
	e.Products = []string{d.text("product_id")}
	identifyDodoCustomer(d, e)
}

func identifyDodoCustomer(d fields, e *Event) {
	customer := d.object("customer")
	e.Customer, e.CustomerMetadata = customer.text("customer_id"), customer.metadata("metadata")
	e.Metadata = d.metadata("metadata")
}

func readDodo(d fields, e Event) state {
	s := dodoState(d, e)
	s.id, s.startedAt, s.items = e.Subscription, d.date("created_at"), [][]string{e.Products}
	return s
}

func dodoState(d fields, e Event) state {
	switch d.text("status") {
	case "active":
		return dodoActive(d)
	case "on_hold", "past_due":
		return dodoPastDue(d, e)
	case "pending":
		return endedState(incomplete, e.At)
	case "paused":
		return endedState(pastDue, e.At)
	case "failed":
		return endedState(ended, e.At)
	case "cancelled", "expired": // one that is cancelled at the next billing date stays active until then
		return endedState(deleted, e.At)
	}
	return failUnknown(d, "status")
}

// dodoActive reads an active subscription. Its period ends when the next one begins, or
// when the subscription ends, whichever is earlier.
func dodoActive(d fields) state {
	from, to, at := d.date("previous_billing_date"), d.date("next_billing_date"), active
	if isDodoTrial(d, to) {
		at = trialing
	}
	return activeState(at, from, to, d.flag("cancel_at_next_billing_date"), d.dateOr("expires_at"))
}

// dodoPastDue reads a subscription whose last payment failed. The next billing date may
// already be the end of the next period.
func dodoPastDue(d fields, e Event) state {
	due, next := d.date("previous_billing_date"), d.date("next_billing_date")
	if !next.After(e.At) {
		due = next
	}
	return pastDueState(earliest(next, e.At), isDodoTrial(d, due))
}

// isDodoTrial reports whether the payment that is due at the given instant is the first one
// after a trial.
func isDodoTrial(d fields, due time.Time) bool {
	days := d.days("trial_period_days")
	return days > 0 && !due.After(d.date("created_at").Add(days+sameInstant))
}

func identifyDodoPayment(d fields, e *Event) {
	e.Payment, e.Subscription = d.text("payment_id"), d.textOr("subscription_id", "")
	identifyDodoCustomer(d, e)
}

// readDodoPayment reads a payment. Dodo does not report the paid period, which begins with
// the payment and ends with the next one.
func readDodoPayment(d fields, e Event) (r entitlement.Report, ok bool) {
	r.Payment = newPayment(e, d.amount("total_amount"), d.currency("currency"))
	r.Payment.PeriodStart = d.date("created_at")
	return r, e.Subscription != "" && !d.flag("is_update_payment_method")
}

func identifyDodoRefund(d fields, e *Event) {
	e.Payment = d.text("payment_id")
	identifyDodoCustomer(d, e)
}

// readDodoRefund reads a refund. The amount of a whole refund may differ from that of the
// payment, since Dodo converts currencies, so it is not read.
func readDodoRefund(d fields, e Event) (r entitlement.Report, ok bool) {
	if !d.has("is_partial") {
		d.fail("is_partial", "true or false")
	}
	v := newReversal(e, entitlement.Refund, d.text("refund_id"))
	if v.Whole = !d.flag("is_partial"); !v.Whole {
		v.Amount, v.Currency = d.amount("amount"), d.currency("currency")
	}
	switch d.text("status") {
	case "pending", "review":
		v.Version = version(incomplete, e.ID)
	case "succeeded":
	case "failed":
		v.Released, v.Version = true, version(ended, e.ID)
	default:
		failUnknown(d, "status")
	}
	r.Reversal = v
	return r, true
}

func identifyDodoDispute(d fields, e *Event) {
	e.Payment = d.text("payment_id")
	e.Metadata = d.metadata("metadata")
	customer := d.objectOr("customer")
	e.Customer, e.CustomerMetadata = customer.textOr("customer_id", ""), customer.metadata("metadata")
}

// readDodoDispute treats an expired dispute as lost, as Dodo documents it.
func readDodoDispute(d fields, e Event) (r entitlement.Report, ok bool) {
	v := newReversal(e, entitlement.Dispute, d.text("dispute_id"))
	switch d.text("dispute_status") {
	case "dispute_opened", "dispute_challenged":
		v.Version = version(pastDue, e.ID)
	case "dispute_won", "dispute_cancelled":
		v.Released, v.Version = true, version(ended, e.ID)
	case "dispute_accepted", "dispute_expired", "dispute_lost":
		v.Version = version(deleted, e.ID)
	default:
		failUnknown(d, "dispute_status")
	}
	r.Reversal = v
	return r, true
}
