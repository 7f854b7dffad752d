package webhook

import (
	"cmp"

	"github.com/keyhatch/keyhatch/entitlement"
)

// Polar returns the Source for Polar's webhooks, in the raw format. Select the
// events subscription.*, order.paid, refund.created and refund.updated. The first argument
// is the ID of your organization. An event of another organization is rejected, unless
// [Options.Accounts] lists it. Polar's sandbox has organizations of its own.
//
// Both kinds of secrets work. For secrets created before 8 September 2026, the
// key is the whole secret, including "whsec_" or "polar_whs_", as in Polar's
// SDKs. For newer ones, it is the decoded base64 after "whsec_", as in Standard
// Webhooks. The handler tries both keys.
//
// The owner is read from the metadata of the subscription, from that of the
// customer, and from the customer's external ID. Those that are set must be the same.
//
// A refund names an order, and an order names a subscription and its period. Amounts are
// without tax, as in Polar's refunds. If you do not select order.paid, refunds are stored but
// end nothing, and each is logged as a warning. Polar sends no events about disputes. If it
// returns a payment to prevent a dispute, it sends a refund. After a dispute, it revokes the
// subscription.
func Polar(organization string, secrets ...string) Source {
	keys, err := keysOf(secrets, eitherKey)
	if err = cmp.Or(checkAccount("organization", organization, secrets), err); err != nil {
		organization = "" // it may be a secret, which fmt would print
	}
	subscription := subject{identify: identifyPolar, subscription: readPolar}
	order := subject{identify: identifyPolarOrder, report: readPolarOrder}
	refund := subject{identify: identifyPolarRefund, report: readPolarRefund}
	all := map[string]subject{}
	subscription.register(all, "subscription.created", "subscription.updated", "subscription.active",
		"subscription.canceled", "subscription.uncanceled", "subscription.revoked",
		"subscription.past_due", "subscription.paused", "subscription.resumed", "subscription.cycled")
	order.register(all, "order.paid")
	refund.register(all, "refund.created", "refund.updated")
	return Source{
		name: "polar", account: organization, keys: func() [][]byte { return keys }, err: err,
		signature: standardSignature, label: standardLabel, contents: standardContents, subjects: all,
	}
}

func identifyPolar(d fields, e *Event) {
	e.Subscription = d.text("id")
	e.Products = []string{d.text("product_id")}
	identifyPolarCustomer(d, e)
}

func identifyPolarCustomer(d fields, e *Event) {
	e.Customer, e.Metadata = d.text("customer_id"), d.metadata("metadata")
	customer := d.objectOr("customer")
	e.CustomerMetadata, e.CustomerExternalID = customer.metadata("metadata"), customer.textOr("external_id", "")
	e.Account = customer.textOr("organization_id", "")
}

func readPolar(d fields, e Event) state {
	s := polarState(d, e)
	s.id, s.startedAt, s.items = e.Subscription, d.date("created_at"), [][]string{e.Products}
	return s
}

// polarState reads Polar's status, which has Stripe's names. A subscription
// that is cancelled at the end of the period stays active until then.
func polarState(d fields, e Event) state {
	status := d.text("status")
	switch {
	case e.Type == "subscription.revoked":
		return endedState(deleted, e.At)
	case status == "trialing":
		return polarActive(d, trialing)
	case status == "active":
		return polarActive(d, active)
	case status == "past_due":
		from, trialEnd := d.date("current_period_start"), d.dateOr("trial_end")
		return pastDueState(from, !from.After(trialEnd))
	}
	return parseEndedState(d, status, e.At)
}

func polarActive(d fields, at stage) state {
	from, to := d.date("current_period_start"), d.date("current_period_end")
	return activeState(at, from, to, d.flag("cancel_at_period_end"), d.dateOr("ends_at"))
}

func identifyPolarOrder(d fields, e *Event) {
	e.Payment, e.Subscription = d.text("id"), d.textOr("subscription_id", "")
	if product := d.textOr("product_id", ""); product != "" {
		e.Products = []string{product}
	}
	identifyPolarCustomer(d, e)
}

// readPolarOrder reads what an order paid for: the period in which its subscription is when
// the order is paid. An order of metered usage pays for no period.
func readPolarOrder(d fields, e Event) (r entitlement.Report, ok bool) {
	paid := d.amount("net_amount") - d.creditOr("applied_balance_amount")
	p := newPayment(e, max(paid, 0), d.currency("currency"))
	p.PeriodStart = d.date("created_at")
	if subscription := d.objectOr("subscription"); subscription.has("current_period_end") {
		p.PeriodStart, p.PeriodEnd = subscription.date("current_period_start"), subscription.date("current_period_end")
	}
	r.Payment = p
	return r, e.Subscription != "" && d.text("billing_reason") != "subscription_meter_cycle"
}

func identifyPolarRefund(d fields, e *Event) {
	e.Payment, e.Account = d.text("order_id"), d.text("organization_id")
	e.Customer, e.Metadata = d.textOr("customer_id", ""), d.metadata("metadata")
}

func readPolarRefund(d fields, e Event) (r entitlement.Report, ok bool) {
	v := newReversal(e, entitlement.Refund, d.text("id"))
	v.Amount, v.Currency = d.amount("amount"), d.currency("currency")
	switch d.text("status") {
	case "pending":
		v.Version = version(incomplete, e.ID)
	case "succeeded":
	case "failed", "canceled":
		v.Released, v.Version = true, version(ended, e.ID)
	default:
		failUnknown(d, "status")
	}
	r.Reversal = v
	return r, true
}
