package webhook_test

import (
	"testing"
	"time"

	"github.com/keyhatch/keyhatch/entitlement"
	"github.com/keyhatch/keyhatch/entitlement/webhook"
)

// E-03: the amount of a payment is what a refund can take back. It includes neither the tax
// at Polar nor what the customer's balance has paid.
func TestAmountPaid(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		system   system
		old, new string
		want     int64
	}{
		{stripe, `"amount_paid": 1900`, `"amount_paid": 1`, 1},
		{stripe, `"amount_paid": 1900`, `"amount_paid": 0`, 0},
		{stripe, `"amount_paid": 1900`, `"amount_paid": -1`, 0},
		{stripe, `"amount_paid": 1900`, `"amount_paid": 9223372036854775807`, 9223372036854775807},
		{polar, `"applied_balance_amount": 0`, `"applied_balance_amount": -400`, 1500},
		{polar, `"applied_balance_amount": 0`, `"applied_balance_amount": -1900`, 0},
		{polar, `"applied_balance_amount": 0`, `"applied_balance_amount": -2261`, 0},
		{polar, `"applied_balance_amount": 0`, `"applied_balance_amount": null`, 1900},
		{polar, `"net_amount": 1900`, `"net_amount": 0`, 0},
		{polar, `"net_amount": 1900`, `"net_amount": -500`, 0},
		{dodo, `"total_amount": 1900`, `"total_amount": 0`, 0},
	} {
		st := newStore()
		body := edit(t, loadPayload(t, c.system, "payment"), c.old, c.new)
		got := c.system.deliver(c.system.handler(t, st, nil), "e", body)
		if got != 200 || only[entitlement.Payment](t, st).Amount != c.want {
			t.Errorf("%s, %s: got %d and %v, want an amount of %d", c.system.name, c.new, got, st.rows, c.want)
		}
	}
}

// E-03: payments, charges and refunds that do not concern a period of a subscription are
// not stored.
func TestOtherPayments(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		system         system
		name, old, new string
	}{
		{stripe, "payment", `"parent": {` + "\n        \"quote_details\"", `"parent": null, "x": {` + "\n        \"quote_details\""},
		{stripe, "charge", `"payment_intent": "pi_3QkhExample01"`, `"payment_record": "pr_1"`},
		{stripe, "refund", `"charge": "ch_3QkhExample01"`, `"charge": null, "payment_intent": null, "x": 0`},
		{polar, "payment", `"billing_reason": "subscription_cycle"`, `"billing_reason": "subscription_meter_cycle"`},
		{polar, "payment", `"subscription_id": "5b5c0000-0000-4000-8000-000000000001"`, `"subscription_id": null`},
		{dodo, "payment", `"subscription_id": "sub_KhExample0001"`, `"subscription_id": null`},
		{dodo, "payment", `"is_update_payment_method": false`, `"is_update_payment_method": true`},
	} {
		st := newStore()
		body := edit(t, loadPayload(t, c.system, c.name), c.old, c.new)
		if c.system.name == "stripe" && c.name == "refund" {
			body = edit(t, body, `"payment_intent": "pi_3QkhExample01"`, `"y": 0`)
		}
		if got := c.system.deliver(c.system.handler(t, st, nil), "e", body); got != 200 || len(st.calls) > 0 {
			t.Errorf("%s %s, %s: got %d and the calls %v, want it ignored: %v", c.system.name, c.name, c.new, got, st.calls, st.rejected)
		}
	}
}

// E-03: without a payment intent, the charge binds a refund and a dispute to the invoice.
// An invoice of an API version before 2025-03-31 names its charge itself, and each ID may
// be an expanded object.
func TestStripeCharges(t *testing.T) {
	t.Parallel()
	const intent = `"payment_intent": "pi_3QkhExample01"`
	for name, c := range map[string]struct {
		event string
		edits []string
		want  entitlement.Charge // ID and Payment
	}{
		"a charge of its own":         {"charge", []string{intent, `"charge": "ch_3QkhExample01"`}, entitlement.Charge{ID: "ch_3QkhExample01", Payment: "in_1QkhExample02"}},
		"an expanded intent":          {"charge", []string{intent, `"payment_intent": {"id": "pi_3QkhExample01"}`}, entitlement.Charge{ID: "pi_3QkhExample01", Payment: "in_1QkhExample02"}},
		"an expanded invoice":         {"charge", []string{`"invoice": "in_1QkhExample02"`, `"invoice": {"id": "in_1QkhExample02"}`}, entitlement.Charge{ID: "pi_3QkhExample01", Payment: "in_1QkhExample02"}},
		"an old invoice":              {"payment", []string{`"customer_account": null`, `"charge": "ch_3QkhExample01", ` + intent}, entitlement.Charge{ID: "pi_3QkhExample01", Payment: "in_1QkhExample02"}},
		"an old one without intent":   {"payment", []string{`"customer_account": null`, `"charge": "ch_3QkhExample01", "payment_intent": null`}, entitlement.Charge{ID: "ch_3QkhExample01", Payment: "in_1QkhExample02"}},
		"an invoice that has neither": {"payment", []string{`"customer_account": null`, `"charge": null, "payment_intent": null`}, entitlement.Charge{}},
	} {
		st := newStore()
		body := edit(t, loadPayload(t, stripe, c.event), c.edits[0], c.edits[1])
		if got := stripe.deliver(stripe.handler(t, st, nil), "", body); got != 200 {
			t.Errorf("%s: got %d, want 200: %v", name, got, st.rejected)
		}
		var got entitlement.Charge
		for _, row := range st.rows {
			if row, ok := row.(entitlement.Charge); ok {
				got = entitlement.Charge{ID: row.ID, Payment: row.Payment}
			}
		}
		if got != c.want {
			t.Errorf("%s: got %+v, want %+v", name, got, c.want)
		}
	}
	for _, event := range []string{"refund", "dispute"} {
		st := newStore()
		body := edit(t, loadPayload(t, stripe, event), intent, `"payment_intent": null`)
		if got := stripe.deliver(stripe.handler(t, st, nil), "", body); got != 200 || only[entitlement.Reversal](t, st).Charge != "ch_3QkhExample01" {
			t.Errorf("%s without an intent: got %d and %v, want the charge", event, got, st.rows)
		}
	}
	st := newStore()
	body := edit(t, edit(t, loadPayload(t, stripe, "dispute"), intent, `"payment_intent": null`), `"charge": "ch_3QkhExample01"`, `"charge": null`)
	if got := stripe.deliver(stripe.handler(t, st, nil), "", body); got != 422 || len(st.rows) > 0 {
		t.Errorf("a dispute of nothing: got %d and %v, want 422", got, st.rows)
	}
}

// An event has at most ten lines of an invoice, and those of changes come first. Without
// the others, the period begins with the invoice.
func TestStripeInvoiceOfManyLines(t *testing.T) {
	t.Parallel()
	const line = `{"period": {"start": 1767225600, "end": 1769904000}, "parent": {"subscription_item_details": {"proration": true}}}`
	const month = `, {"period": {"start": 1767225600, "end": 1767830400}, "parent": {"subscription_item_details": {"proration": false}}}`
	for _, tt := range []struct {
		name, more, whole string
		from, to          time.Time
	}{
		{"a credit for the rest of a longer period", "false", month, time.Unix(1767225600, 0).UTC(), time.Unix(1767830400, 0).UTC()},
		{"all lines", "false", "", time.Unix(1767225600, 0).UTC(), time.Unix(1769904000, 0).UTC()},
		{"more lines", "true", "", time.Unix(1769904100, 0).UTC(), time.Time{}},
	} {
		body := `{"id": "evt_1", "type": "invoice.paid", "created": 1769904100, "livemode": true, "data": {"object": {"id": "in_1", "created": 1769904100,
			"customer": "cus_1", "amount_paid": 1000, "currency": "usd", "parent": {"subscription_details": {"subscription": "sub_1"}},
			"lines": {"has_more": ` + tt.more + `, "data": [` + line + tt.whole + `]}}}}`
		st := newStore()
		h, err := webhook.New(st, webhook.Stripe(secret), catalog, products, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := h.Replay(t.Context(), "stripe", "evt_1", []byte(body)); err != nil || len(st.reports) != 1 {
			t.Fatalf("%s: got %v and %d reports, want one", tt.name, err, len(st.reports))
		}
		if p := st.reports[0].Payment; !p.PeriodStart.Equal(tt.from) || !p.PeriodEnd.Equal(tt.to) {
			t.Errorf("%s: got the period %v to %v, want %v to %v", tt.name, p.PeriodStart, p.PeriodEnd, tt.from, tt.to)
		}
	}
}
