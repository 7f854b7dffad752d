package webhook

import (
	"cmp"

	"github.com/keyhatch/keyhatch/entitlement"
)

// Polar returns the Source for Polar's webhooks, in the raw format. Select the
// events subscription.* and order.refunded. The organization is the ID of yours. An
// event of another one is rejected, unless [Options.Accounts] lists it. Polar's
// sandbox has organizations of its own.
//
// Both kinds of secrets work. For secrets created before 8 September 2026, the
// key is the whole secret, including "whsec_" or "polar_whs_", as in Polar's
// SDKs. For newer ones, it is the decoded base64 after "whsec_", as in Standard
// Webhooks. The handler tries both keys.
//
// The owner is read from the metadata of the subscription, then of the
// customer, and then from the customer's external ID. Polar sends no events
// about disputes, but a payment that it returns to prevent a dispute is a
// refund. The refund of a product with the plan "" changes nothing.
func Polar(organization string, secrets ...string) Source {
	keys, err := keysOf(secrets, eitherKey)
	if err = cmp.Or(checkAccount("organization", organization, secrets), err); err != nil {
		organization = "" // it may be a secret, which fmt would print
	}
	subscription := subject{identify: identifyPolar, subscription: readPolar}
	order := subject{identify: identifyPolarOrder, hold: readPolarOrder}
	all := map[string]subject{}
	subscription.register(all, "subscription.created", "subscription.updated", "subscription.active",
		"subscription.canceled", "subscription.uncanceled", "subscription.revoked",
		"subscription.past_due", "subscription.paused", "subscription.resumed")
	order.register(all, "order.refunded")
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

func readPolarOrder(d fields, e Event) (h entitlement.Hold, ignored bool) {
	status := d.text("status")
	if status != "refunded" && status != "partially_refunded" {
		failUnknown(d, "status")
	}
	return refundHold(e, d.date("created_at")), status == "partially_refunded"
}
