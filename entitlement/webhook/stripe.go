package webhook

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strings"
	"time"

	"github.com/keyhatch/keyhatch/entitlement"
)

// Stripe is Stripe's webhooks. The secrets are those of the endpoint, "whsec_…".
// Send it the events customer.subscription.*, charge.refunded and
// charge.dispute.*, of any API version.
//
// The owner is read from the subscription's metadata, where it has to be put when
// the checkout is made, in subscription_data. Charges and disputes do not have it,
// and disputes not even the customer: for those [Options.Owner] has to find the
// owner by Payment, the charge. A trial, like anything else, ends with the
// current period. A subscription of several items has the earliest of their
// periods, and one plan: give the others the plan "". One whose collection is
// paused ("pause_collection") stays active, as Stripe has it.
//
// When a payment fails, Stripe has begun the next period already, so the paid
// one has ended where that began; also where what failed is a change in the
// midst of a period. Let Stripe cancel a subscription, or mark it unpaid, after
// the last try: one that is left past due begins another period, and with it the
// plan's Grace, each time. A dispute that is only an inquiry ("warning_…") takes
// nothing away.
func Stripe(secrets ...string) Sender {
	keys, err := keysOf(secrets, literalKey)
	subscription := subject{identify: identifyStripe, read: readStripe, refetch: true}
	refund := subject{identify: identifyStripeCharge, read: readStripeCharge}
	dispute := subject{identify: identifyStripeDispute, read: readStripeDispute}
	all := map[string]subject{}
	subscription.of(all, "customer.subscription.created", "customer.subscription.updated",
		"customer.subscription.deleted", "customer.subscription.paused", "customer.subscription.resumed",
		"customer.subscription.trial_will_end", "customer.subscription.pending_update_applied",
		"customer.subscription.pending_update_expired")
	refund.of(all, "charge.refunded")
	dispute.of(all, "charge.dispute.created", "charge.dispute.updated", "charge.dispute.closed",
		"charge.dispute.funds_withdrawn", "charge.dispute.funds_reinstated")
	return Sender{
		name: "stripe", keys: func() [][]byte { return keys }, err: err,
		signature: stripeSignature, label: labelStripe, contents: stripeContents, subjects: all,
	}
}

// stripeSignature reads "t=1492774577,v1=5257a8…,v0=6ffbb5…", in which a v1 is in
// hex and over "t.body" (docs.stripe.com/webhooks, "Verify webhook signatures
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

// addStripe passes over what cannot be a signature of ours.
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
	e.At = d.unix("created")
	return d.object("data").object("object")
}

func identifyStripe(d fields, e *Event) {
	e.Subscription, e.Customer, e.Metadata = d.text("id"), d.id("customer"), d.metadata("metadata")
	for _, ids := range stripeItems(d) {
		e.Products = append(e.Products, ids...)
	}
}

// stripeItems are the price and the product of each item.
func stripeItems(d fields) (all [][]string) {
	list := d.object("items")
	if list.flag("has_more") {
		list.fail("has_more", "all of the items")
	}
	for _, item := range list.objects("data") {
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
	s.id, s.since, s.items = e.Subscription, d.unix("created"), stripeItems(d)
	return s
}

func stripeState(d fields, e Event) state {
	status := d.text("status")
	switch {
	case e.Type == "customer.subscription.deleted":
		return over(deleted, e.At)
	case status == "trialing":
		return stripePaid(d, trialing)
	case status == "active":
		return stripePaid(d, active)
	case status == "past_due":
		return state{status: entitlement.PastDue, stage: pastDue, until: stripePeriod(d, "current_period_start")}
	}
	return overState(d, status, e.At)
}

// overState is what grants nothing, by the names that Stripe and Polar share.
func overState(d fields, status string, at time.Time) state {
	switch status {
	case "incomplete":
		return over(incomplete, at)
	case "paused":
		return over(pastDue, at)
	case "canceled", "unpaid", "incomplete_expired":
		return over(ended, at)
	}
	return unknown(d, "status")
}

func stripePaid(d fields, at stage) state {
	var stop time.Time
	if d.has("cancel_at") {
		stop = d.unix("cancel_at")
	}
	from, to := stripePeriod(d, "current_period_start"), stripePeriod(d, "current_period_end")
	return paidFor(at, from, to, d.flag("cancel_at_period_end"), stop)
}

// stripePeriod reads a period's bound, which since API version 2025-03-31.basil
// is each item's own.
func stripePeriod(d fields, name string) (bound time.Time) {
	if d.has(name) {
		return d.unix(name)
	}
	for _, item := range d.object("items").objects("data") {
		bound = earliest(bound, item.unix(name))
	}
	return bound
}

func identifyStripeCharge(d fields, e *Event) {
	e.Payment, e.Customer, e.Metadata = d.text("id"), d.id("customer"), d.metadata("metadata")
}

func readStripeCharge(d fields, e Event) state {
	if !d.has("refunded") {
		d.fail("refunded", "true or false")
	}
	s := paidBack(e, d.unix("created"))
	s.ignored = !d.flag("refunded")
	return s
}

func identifyStripeDispute(d fields, e *Event) {
	if !d.has("charge") {
		d.fail("charge", "an id")
	}
	e.Payment, e.Metadata = d.id("charge"), d.metadata("metadata")
}

func readStripeDispute(d fields, e Event) state {
	s := held("dispute:"+d.text("id"), d.unix("created"))
	switch status := d.text("status"); status {
	case "needs_response", "under_review":
	case "lost", "prevented":
		s.stage = deleted
	case "won", "warning_closed":
		s.status, s.stage = entitlement.Ended, ended
	case "warning_needs_response", "warning_under_review":
		s.status, s.stage = entitlement.Ended, incomplete
	default:
		return unknown(d, "status")
	}
	return s
}
