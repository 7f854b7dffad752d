package plans_test

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/keyhatch/keyhatch/entitlement/webhook"
)

// The events of the billing systems, with the fields that concern money.

var stripe = billing{
	name: "Stripe", source: webhook.Stripe, disputes: true,
	sign: func(h http.Header, _ string, body []byte) { signStripe(h, "whsec_"+secretText, body) },
	envelope: func(id, kind string, at time.Time, data object) object {
		return object{"id": id, "object": "event", "type": kind, "created": at.Unix(), "livemode": true, "data": object{"object": data}}
	},
	types: map[change][]string{
		begun: {"customer.subscription.created"}, renewed: {"customer.subscription.updated"}, failed: {"customer.subscription.updated"},
		recovered: {"customer.subscription.updated"}, upgraded: {"customer.subscription.updated"}, cancelled: {"customer.subscription.updated"},
		ended: {"customer.subscription.deleted"}, paused: {"customer.subscription.paused", "customer.subscription.updated"},
		resumed: {"customer.subscription.resumed", "customer.subscription.updated"},
	},
	state: stripeState, paid: stripePaid, refunded: stripeRefunded, disputed: stripeDisputed,
}

func stripeState(l *ledger, s state) object {
	status := s.status
	if s.change == begun && status == "active" {
		status = "incomplete" // until it is paid
	}
	item := object{"object": "subscription_item", "price": object{"id": "price_" + s.plan, "product": "product_" + s.plan}}
	o := object{
		"id": s.subscription, "object": "subscription", "customer": s.customer, "metadata": s.metadata, "created": s.began.Unix(), "status": status,
		"cancel_at_period_end": !s.lasts, "cancel_at": nil, "trial_end": nil, "items": object{"object": "list", "data": []any{item}, "has_more": false},
	}
	if !s.lasts {
		o["cancel_at"] = s.to.Unix()
	}
	if !s.trialEnd.IsZero() {
		o["trial_end"] = s.trialEnd.Unix()
	}
	period := item
	if l.old {
		period = o
	}
	period["current_period_start"], period["current_period_end"] = s.from.Unix(), s.to.Unix()
	return o
}

// stripePaid tells of an invoice. The first one activates the subscription.
func stripePaid(l *ledger, s state, one *payment) {
	invoice, intent := "in_"+s.payment, "pi_"+s.payment
	when := s.at.Add(time.Hour)
	if s.from.Equal(s.began) && !s.isChange {
		when = s.at.Add(3 * time.Second)
	}
	l.add("invoice.paid", when, stripeInvoice(l, s, one, invoice))
	if one.Amount > 0 && !l.old {
		l.add("invoice_payment.paid", when, object{
			"id": "inpay_" + s.payment, "object": "invoice_payment", "invoice": invoice, "amount_paid": one.Amount, "currency": "usd", "status": "paid",
			"payment": object{"type": "payment_intent", "payment_intent": intent},
		})
	}
	if s.from.Equal(s.began) && !s.isChange {
		l.add("customer.subscription.updated", when, stripeState(l, s))
	}
}

func stripeInvoice(l *ledger, s state, one *payment, id string) object {
	o := object{"id": id, "object": "invoice", "customer": s.customer, "amount_paid": one.Amount, "currency": "usd", "status": "paid"}
	from := s.from
	if s.isChange {
		from = s.at
	}
	line := func(amount int, proration bool) object {
		o := object{"object": "line_item", "amount": amount, "period": object{"start": from.Unix(), "end": s.to.Unix()}}
		if l.old {
			o["type"], o["proration"], o["subscription"] = map[bool]string{true: "invoiceitem", false: "subscription"}[proration], proration, s.subscription
			return o
		}
		o["parent"] = object{"type": "subscription_item_details", "subscription_item_details": object{"subscription": s.subscription, "proration": proration}}
		return o
	}
	lines := []any{line(one.Amount, s.isChange)}
	if s.isChange {
		lines = []any{line(-100, true), line(one.Amount+100, true)}
	}
	o["lines"] = object{"object": "list", "data": lines, "has_more": false}
	switch {
	case !l.old:
		o["parent"] = object{"type": "subscription_details", "subscription_details": object{"subscription": s.subscription, "metadata": s.metadata}}
	case one.Amount > 0:
		o["charge"], o["payment_intent"] = "ch_"+s.payment, "pi_"+s.payment
		fallthrough
	default:
		o["subscription"] = s.subscription
	}
	return o
}

func stripeRefunded(l *ledger, s state, r refund) {
	o := func(status string) object {
		return object{
			"id": s.reversal, "object": "refund", "charge": "ch_" + s.payment, "payment_intent": "pi_" + s.payment,
			"amount": r.Amount, "currency": "usd", "status": status, "metadata": object{},
		}
	}
	when, first := dayAt(r.Day).Add(90*time.Minute), "succeeded"
	if r.Amount%2 == 0 {
		first = "pending"
	}
	l.add("refund.created", when, o(first))
	l.add("refund.updated", when.Add(time.Minute), o("succeeded"))
	if r.Failed < never {
		for _, name := range []string{"refund.updated", "charge.refund.updated", "refund.failed"} {
			l.add(name, dayAt(r.Failed).Add(100*time.Minute), o("failed"))
		}
	}
}

func stripeDisputed(l *ledger, s state, d dispute) {
	tell := func(name string, when time.Time, status string) {
		l.add("charge.dispute."+name, when, object{
			"id": s.reversal, "object": "dispute", "charge": "ch_" + s.payment, "payment_intent": "pi_" + s.payment,
			"currency": "usd", "status": status, "metadata": object{},
		})
	}
	when := dayAt(d.Day).Add(90 * time.Minute)
	tell("created", when, "needs_response")
	tell("funds_withdrawn", when, "needs_response")
	tell("updated", when.Add(time.Minute), "under_review")
	if d.Won < never {
		tell("funds_reinstated", dayAt(d.Won), "won")
		tell("closed", dayAt(d.Won), "won")
	}
	if d.Lost < never {
		tell("closed", dayAt(d.Lost), "lost")
	}
}

var polar = billing{
	name: "Polar", source: func(s ...string) webhook.Source { return webhook.Polar("org_1", s...) },
	sign: signEvent,
	envelope: func(_, kind string, at time.Time, data object) object {
		return object{"type": kind, "timestamp": at, "data": data}
	},
	types: map[change][]string{
		begun:     {"subscription.created", "subscription.updated", "subscription.active"},
		renewed:   {"subscription.cycled", "subscription.updated"},
		failed:    {"subscription.updated", "subscription.past_due"},
		recovered: {"subscription.updated", "subscription.active"},
		upgraded:  {"subscription.updated"},
		cancelled: {"subscription.updated", "subscription.canceled"},
		ended:     {"subscription.updated", "subscription.canceled", "subscription.revoked"},
		paused:    {"subscription.updated", "subscription.paused"},
		resumed:   {"subscription.updated", "subscription.resumed"},
	},
	state: polarState, paid: polarPaid, refunded: polarRefunded,
}

func polarState(_ *ledger, s state) object {
	o := object{
		"id": s.subscription, "created_at": s.began, "status": s.status, "product_id": "product_" + s.plan, "metadata": s.metadata, "customer_id": s.customer,
		"customer": object{"id": s.customer, "organization_id": "org_1", "metadata": object{}}, "current_period_start": s.from, "current_period_end": s.to,
		"cancel_at_period_end": !s.lasts, "ends_at": nil, "trial_end": nil,
	}
	if !s.lasts {
		o["ends_at"] = s.to
	}
	if s.change == ended {
		o["ends_at"], o["ended_at"] = s.at, s.at
	}
	if !s.trialEnd.IsZero() {
		o["trial_end"] = s.trialEnd
	}
	return o
}

// polarPaid tells of an order. Some of them are paid in part from the customer's balance.
func polarPaid(l *ledger, s state, one *payment) {
	reason, balance := "subscription_cycle", one.Day%2*300
	switch {
	case s.isChange:
		reason = "subscription_update"
	case s.from.Equal(s.began):
		reason = "subscription_create"
	}
	net := one.Amount + balance
	when := s.from.Add(3 * time.Second)
	if s.isChange {
		when = s.at
	}
	l.add("order.paid", s.at.Add(8*time.Second), object{
		"id": s.payment, "created_at": when, "status": "paid", "paid": true, "net_amount": net, "tax_amount": net * 21 / 100, "total_amount": net * 121 / 100,
		"applied_balance_amount": -balance, "currency": "usd", "billing_reason": reason, "subscription_id": s.subscription, "product_id": "product_" + s.plan,
		"customer_id": s.customer, "customer": object{"id": s.customer, "organization_id": "org_1", "metadata": object{}}, "metadata": s.metadata,
		"subscription": object{"id": s.subscription, "current_period_start": s.from, "current_period_end": s.to, "metadata": s.metadata},
	})
}

func polarRefunded(l *ledger, s state, r refund) {
	tell := func(name string, when time.Time, status string) {
		l.add(name, when, object{
			"id": s.reversal, "created_at": dayAt(r.Day), "status": status, "amount": r.Amount, "tax_amount": r.Amount * 21 / 100, "currency": "usd",
			"organization_id": "org_1", "order_id": s.payment, "subscription_id": s.subscription, "customer_id": s.customer, "metadata": object{},
		})
	}
	when := dayAt(r.Day).Add(90 * time.Minute)
	if r.Amount%2 == 0 {
		tell("refund.created", when, "pending")
		tell("refund.updated", when.Add(time.Minute), "succeeded")
	} else {
		tell("refund.created", when, "succeeded")
	}
	if r.Failed < never {
		tell("refund.updated", dayAt(r.Failed).Add(100*time.Minute), "failed")
	}
}

var dodo = billing{
	name: "Dodo", source: func(s ...string) webhook.Source { return webhook.Dodo("bus_1", s...) },
	sign: signEvent, resets: true, disputes: true, failsAtOnce: true,
	envelope: func(_, kind string, at time.Time, data object) object {
		return object{"business_id": "bus_1", "type": kind, "timestamp": at, "data": data}
	},
	types: map[change][]string{
		begun:     {"subscription.active", "subscription.renewed", "subscription.updated"},
		renewed:   {"subscription.renewed", "subscription.updated"},
		failed:    {"subscription.on_hold", "subscription.updated"},
		recovered: {"subscription.active", "subscription.renewed", "subscription.updated"},
		upgraded:  {"subscription.plan_changed", "subscription.updated"},
		cancelled: {"subscription.cancelled", "subscription.updated"},
		ended:     {"subscription.expired", "subscription.updated"},
		paused:    {"subscription.paused", "subscription.updated"},
		resumed:   {"subscription.unpaused", "subscription.updated"},
	},
	state: dodoState, paid: dodoPaid, refunded: dodoRefunded, disputed: dodoDisputed,
}

// dodoState has no status for a trial. While a payment is due, it has the dates before or,
// in the other form, after it.
func dodoState(l *ledger, s state) object {
	status := map[string]string{"active": "active", "trialing": "active", "past_due": "on_hold", "paused": "paused", "canceled": "cancelled"}[s.status]
	previous, next := s.from, s.to
	if s.status == "past_due" && !l.old {
		previous, next = s.paidFrom, s.from
	}
	return object{
		"subscription_id": s.subscription, "created_at": s.began, "status": status, "product_id": "product_" + s.plan, "metadata": s.metadata,
		"customer": object{"customer_id": s.customer, "metadata": object{}}, "previous_billing_date": previous.Add(7 * time.Second), "next_billing_date": next,
		"cancel_at_next_billing_date": !s.lasts, "expires_at": s.began.AddDate(10, 0, 0), "trial_period_days": s.trialDays,
	}
}

func dodoPaid(l *ledger, s state, one *payment) {
	l.add("payment.succeeded", s.at.Add(3*time.Minute), object{
		"payment_id": s.payment, "created_at": s.at.Add(6 * time.Second), "status": "succeeded", "total_amount": one.Amount, "currency": "USD",
		"subscription_id": s.subscription, "is_update_payment_method": false, "metadata": s.metadata, "customer": object{"customer_id": s.customer, "metadata": object{}},
	})
}

// dodoRefunded converts the amount of a whole refund to another currency.
func dodoRefunded(l *ledger, s state, r refund) {
	o := object{
		"refund_id": s.reversal, "payment_id": s.payment, "created_at": dayAt(r.Day), "status": "succeeded", "is_partial": !r.Whole, "amount": r.Amount, "currency": "USD",
		"customer": object{"customer_id": s.customer, "metadata": object{}}, "metadata": object{},
	}
	if r.Whole {
		o["amount"], o["currency"] = r.Amount*9/10, "EUR"
	}
	if r.Failed < never {
		o["status"] = "failed"
	}
	l.add(fmt.Sprint("refund.", o["status"]), dayAt(r.Day).Add(90*time.Minute), o)
}

func dodoDisputed(l *ledger, s state, d dispute) {
	tell := func(name string, when time.Time) {
		l.add("dispute."+name, when, object{
			"dispute_id": s.reversal, "payment_id": s.payment, "created_at": dayAt(d.Day), "amount": "2000", "currency": "USD",
			"dispute_stage": "dispute", "dispute_status": "dispute_" + name,
		})
	}
	tell("opened", dayAt(d.Day).Add(90*time.Minute))
	tell("challenged", dayAt(d.Day).Add(91*time.Minute))
	if d.Won < never {
		tell([]string{"won", "cancelled"}[strings.Count(s.payment, "1")%2], dayAt(d.Won))
	}
	if d.Lost < never {
		tell([]string{"lost", "accepted", "expired"}[strings.Count(s.payment, "1")%3], dayAt(d.Lost))
	}
}
