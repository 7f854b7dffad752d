package webhook

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/keyhatch/keyhatch/entitlement"
)

// Stripe returns the Source for Stripe's webhooks. The secrets are the signing
// secrets of the endpoint, "whsec_…". Select the events customer.subscription.*,
// invoice.paid, invoice_payment.paid, refund.* and charge.dispute.*.
//
// The endpoint needs the API version 2024-10-28.acacia or a later one, since older ones do
// not send refund.*, but neither 2025-03-31.basil nor 2025-04-30.basil, in which no event
// says what a charge has paid for. An event of another version is rejected, since a refund
// could be lost. Only the date of a version counts. An endpoint keeps the version with which
// it was created, and so does an event. So create another endpoint with a later version, and
// call [Handler.Reconcile] for what the rejected events reported.
//
// An event of test mode or of a sandbox is rejected, unless [Options.InsecureTestMode] is
// set. An event of a connected account, or of another account of an organization, is
// rejected unless [Options.Accounts] lists the account.
//
// The owner is read from the subscription's metadata. Set this metadata when you create
// the checkout, in subscription_data.
//
// A refund or dispute names a charge, a charge names an invoice, and an invoice names a
// subscription and the period that it paid for. Their events may arrive in any order. If you
// do not select invoice.paid and invoice_payment.paid, they never arrive: then refunds and
// disputes are stored but end nothing, and each is logged as a warning. A refund of a payment
// that was not for a subscription is logged in the same way. A credit to the customer's
// balance is not a refund.
//
// A trial ends with the current period, like a paid period. If a subscription
// has several items, its period ends with the earliest of theirs, and only one
// plan is possible: map the other items to the plan "". An event has at most ten
// items. If you sell subscriptions of more items, set [Options.Refetch]. Without it, their
// events are rejected. A subscription whose collection is paused ("pause_collection") stays
// active, as it does at Stripe.
//
// If a payment fails, Stripe has already begun the next period, so the paid
// period ended when that one began. If the payment for a change in the middle
// of a period fails, the paid period also counts as ended when the current one
// began. Configure Stripe to cancel a subscription, or to mark it unpaid, after
// the last try. Otherwise each new period begins with the plan's Grace, although
// nothing was paid.
//
// A dispute that is only an inquiry ("warning_…") changes nothing.
func Stripe(secrets ...string) Source {
	keys, err := keysOf(secrets, literalKey)
	subscription := subject{identify: identifyStripe, subscription: readStripe}
	invoice := subject{identify: identifyStripeInvoice, report: readStripeInvoice}
	charge := subject{identify: identifyStripeCharge, report: readStripeCharge}
	refund := subject{identify: identifyStripeReversal, report: readStripeRefund}
	dispute := subject{identify: identifyStripeReversal, report: readStripeDispute}
	all := map[string]subject{}
	subscription.register(all, "customer.subscription.created", "customer.subscription.updated",
		"customer.subscription.deleted", "customer.subscription.paused", "customer.subscription.resumed",
		"customer.subscription.trial_will_end", "customer.subscription.pending_update_applied",
		"customer.subscription.pending_update_expired")
	invoice.register(all, "invoice.paid")
	charge.register(all, "invoice_payment.paid")
	refund.register(all, "refund.created", "refund.updated", "refund.failed", "charge.refund.updated")
	dispute.register(all, "charge.dispute.created", "charge.dispute.updated", "charge.dispute.closed",
		"charge.dispute.funds_withdrawn", "charge.dispute.funds_reinstated")
	return Source{
		name: "stripe", keys: func() [][]byte { return keys }, err: err,
		signature: stripeSignature, label: labelStripe, contents: stripeContents, subjects: all,
	}
}

// stripeSignature reads "t=1492774577,v1=5257a8…,v0=6ffbb5…". A v1 is in hex
// and signs "t.body" (docs.stripe.com/webhooks, "Verify webhook signatures
// manually").
func stripeSignature(h http.Header) (s signature, err error) {
	all, err := header(h, "Stripe-Signature")
	if err != nil {
		return s, err
	}
	if strings.Count(all, ",") > maxSignatures {
		return s, errHeader
	}
	for one := range strings.SplitSeq(all, ",") {
		name, text, ok := strings.Cut(one, "=")
		if !ok || name == "t" && s.before != "" {
			return s, errHeader
		}
		if err := s.addStripe(name, text); err != nil {
			return s, err
		}
	}
	if s.before == "" {
		return s, errHeader
	}
	return s, nil
}

// addStripe skips signatures of another version or form.
func (s *signature) addStripe(name, text string) (err error) {
	switch name {
	case "t":
		s.before = text + "."
		s.at, err = unixTime(text)
	case "v1":
		if mac, err := hex.DecodeString(text); err == nil && len(mac) == sha256.Size {
			s.macs = append(s.macs, mac)
		}
	}
	return err
}

func labelStripe(d fields, e *Event) { e.ID, e.Type = d.text("id"), d.text("type") }

func stripeContents(d fields, e *Event) fields {
	checkStripeVersion(d)
	if !d.has("livemode") {
		d.fail("livemode", "true or false")
	}
	// An event that an organization receives has a context and no account. An event of a
	// connected account has both.
	e.At, e.TestMode, e.Account = d.unix("created"), !d.flag("livemode"), d.textOr("account", d.textOr("context", ""))
	return d.object("data").object("object")
}

// Dates of API versions of Stripe.
const (
	// The first version that sends refund.*.
	firstStripeVersion = "2024-10-28"

	// From the first of these versions, an invoice does not have its charge any more. From the
	// second, invoice_payment.paid is sent instead.
	stripeGapBegins, stripeGapEnds = "2025-03-31", "2025-05-28"
)

// checkStripeVersion checks the API version of an event: a date, and since 2024 a dot and a
// name, such as "basil" or "preview". Previews have the fields of the versions of their date.
func checkStripeVersion(d fields) {
	version := d.textOr("api_version", firstStripeVersion) // null in some events
	date, _, _ := strings.Cut(version, ".")
	switch _, err := time.Parse(time.DateOnly, date); {
	case err != nil:
		d.fail("api_version", "a version that begins with a date")
	case date < firstStripeVersion || stripeGapBegins <= date && date < stripeGapEnds:
		d.failWith(fmt.Errorf("the event has the API version %q, in which a refund could be lost: change the API version of the endpoint to 2025-05-28.basil or a later one", version))
	}
}

func identifyStripe(d fields, e *Event) {
	e.Subscription, e.Customer, e.Metadata = d.text("id"), d.id("customer"), d.metadata("metadata")
	for _, ids := range stripeItems(d) {
		e.Products = append(e.Products, ids...)
	}
}

// stripeItems returns the price and the product of each item. An event has at most ten.
func stripeItems(d fields) (all [][]string) {
	for _, item := range d.object("items").objects("data") {
		price := item.object("price")
		ids := []string{price.text("id")}
		if product := price.id("product"); product != "" {
			ids = append(ids, product)
		}
		all = append(all, ids)
	}
	if len(all) == 0 {
		d.fail("items.data", "an item")
	}
	return all
}

func readStripe(d fields, e Event) state {
	s := stripeState(d, e)
	if items := d.object("items"); items.flag("has_more") && s.status != entitlement.Ended {
		items.fail("has_more", "false, since the event does not have all items; set Options.Refetch")
	}
	s.id, s.startedAt, s.items = e.Subscription, d.unix("created"), stripeItems(d)
	return s
}

func stripeState(d fields, e Event) state {
	status := d.text("status")
	switch {
	case e.Type == "customer.subscription.deleted":
		return endedState(deleted, e.At)
	case status == "trialing":
		return stripePaid(d, trialing)
	case status == "active":
		return stripePaid(d, active)
	case status == "past_due":
		from, trialEnd := stripePeriod(d, "current_period_start"), d.unixOr("trial_end")
		return pastDueState(from, !from.After(trialEnd))
	}
	return parseEndedState(d, status, e.At)
}

// parseEndedState reads a status that grants nothing. Stripe and Polar have the same
// names.
func parseEndedState(d fields, status string, at time.Time) state {
	switch status {
	case "incomplete":
		return endedState(incomplete, at)
	case "paused":
		return endedState(pastDue, at)
	case "canceled", "unpaid", "incomplete_expired":
		return endedState(ended, at)
	}
	return failUnknown(d, "status")
}

func stripePaid(d fields, at stage) state {
	from, to := stripePeriod(d, "current_period_start"), stripePeriod(d, "current_period_end")
	return activeState(at, from, to, d.flag("cancel_at_period_end"), d.unixOr("cancel_at"))
}

// stripePeriod reads the start or end of the period. Since API version
// 2025-03-31.basil, each item has its own.
func stripePeriod(d fields, name string) (bound time.Time) {
	if d.has(name) {
		return d.unix(name)
	}
	for _, item := range d.object("items").objects("data") {
		bound = earliest(bound, item.unix(name))
	}
	return bound
}
