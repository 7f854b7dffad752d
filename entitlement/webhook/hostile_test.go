package webhook_test

import (
	"bytes"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"
)

// A signed body without the documented shape is rejected and saved, and changes nothing.
func TestHostileBodies(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]string{
		"nothing": "", "a space": " ", "no object": `"customer.subscription.updated"`, "an array": `[]`, "null": `null`, "not JSON": `{`,
		"a name that is a number": `{"id":"evt_1","type":"invoice.created",1:2}`,
		"two":                     `{"id":"evt_1","type":"invoice.created"} {}`,
		"deep objects":            strings.Repeat(`{"a":`, 40_000) + `1` + strings.Repeat(`}`, 40_000),
		"deep arrays":             `{"id":"evt_1","type":"invoice.created","a":` + strings.Repeat(`[`, 100_000) + strings.Repeat(`]`, 100_000) + `}`,
		"64 deep":                 `{"id":"evt_1","type":"invoice.created","a":` + strings.Repeat(`[`, 64) + strings.Repeat(`]`, 64) + `}`,
		"a name twice":            `{"id":"evt_1","type":"invoice.created","type":"invoice.created"}`,
		"twice, escaped":          `{"id":"evt_1","type":"invoice.created","\u0074ype":"invoice.created"}`,
		"twice, deep down":        `{"id":"evt_1","type":"invoice.created","a":[{"b":1,"b":1}]}`,
		"not UTF-8":               "{\"id\":\"evt_1\",\"type\":\"invoice.paid\",\"a\":\"\xff\"}",
		"no id or type":           `{}`, "a type that is a number": `{"id":"evt_1","type":1}`, "an id with NUL": `{"id":"evt_\u0000","type":"invoice.created"}`,
		"a long type": `{"id":"evt_1","type":"` + strings.Repeat("a", 256) + `"}`,
		"no data":     `{"id":"evt_1","type":"customer.subscription.updated","created":1}`,
		"data null":   `{"id":"evt_1","type":"customer.subscription.updated","created":1,"data":null}`,
	} {
		for _, s := range systems {
			st := newStore()
			if s.name != "stripe" && strings.Contains(body, "evt_\\u0000") {
				continue // the ID is in a header
			}
			got := s.deliver(s.handler(t, st, withOwner()), "e", []byte(body))
			known := s.name == "stripe" || !strings.HasPrefix(name, "data ") && name != "no data"
			if known && (got != 422 || len(st.rejected) != 1) || len(st.rows) > 0 {
				t.Errorf("%s: %s: got %d and %d rejected events, want 422 and 1", s.name, name, got, len(st.rejected))
			}
		}
	}
	if got := stripe.deliver(stripe.handler(t, newStore(), nil), "", []byte(`{"id":"evt_1","type":"invoice.created","a":`+strings.Repeat(`[`, 63)+strings.Repeat(`]`, 63)+`}`)); got != 200 {
		t.Errorf("63 arrays in an object: got %d, want them accepted", got)
	}
}

// Each field that is read gets each kind of wrong value in turn.
func TestWrongShapes(t *testing.T) {
	t.Parallel()
	wrong := []string{`null`, `{}`, `[]`, `true`, `-1`, `1e3`, `1.5`, `1e999999999`, strings.Repeat("9", 1000), `"x"`, `""`, `"` + strings.Repeat("a", 256) + `"`, `"a\u0000"`}
	for _, c := range []struct {
		system system
		name   string
		fields []string
	}{
		{stripe, "purchase", []string{`"created": 1772359200`, `"status": "active"`, `"current_period_end": 1775037600`, `"product": "prod_QproExample"`,
			`"has_more": false`}},
		{stripe, "past_due", []string{`"current_period_start": 1775037600`}},
		{stripe, "payment", []string{`"amount_paid": 1900`, `"currency": "eur"`, `"id": "in_1QkhExample02"`, `"start": 1775037600`, `"end": 1777629600`,
			`"subscription": "sub_1QkhExample0001"`}},
		{stripe, "charge", []string{`"invoice": "in_1QkhExample02"`}},
		{stripe, "refund", []string{`"amount": 1900`, `"currency": "eur"`, `"status": "succeeded"`, `"id": "re_3QkhExample01"`}},
		{stripe, "dispute", []string{`"status": "needs_response"`, `"id": "du_1QkhExample01"`}},
		{polar, "purchase", []string{`"timestamp": "2026-03-01T10:00:02.417251Z"`, `"status": "active"`, `"current_period_end": "2026-04-01T10:00:00.500000Z"`,
			`"customer_id": "c0ffee00-0000-4000-8000-000000000001"`, `"product_id": "a1d0c6f2-0000-4000-8000-000000000001"`}},
		{polar, "payment", []string{`"net_amount": 1900`, `"applied_balance_amount": 0`, `"currency": "usd"`, `"id": "0d0e0000-0000-4000-8000-000000000001"`,
			`"current_period_end": "2026-05-01T10:00:00.500000Z"`, `"billing_reason": "subscription_cycle"`}},
		{polar, "refund", []string{`"status": "succeeded"`, `"amount": 1900`, `"currency": "usd"`, `"order_id": "0d0e0000-0000-4000-8000-000000000001"`}},
		{dodo, "purchase", []string{`"timestamp": "2026-03-01T10:00:09.854000Z"`, `"status": "active"`, `"next_billing_date": "2026-04-01T10:00:00.120034Z"`,
			`"subscription_id": "sub_KhExample0001"`, `"customer_id": "cus_KhExample0001"`}},
		{dodo, "trial", []string{`"trial_period_days": 14`}},
		{dodo, "payment", []string{`"total_amount": 1900`, `"currency": "EUR"`, `"payment_id": "pay_KhExample0001"`, `"created_at": "2026-04-01T10:00:05.250000Z"`,
			`"subscription_id": "sub_KhExample0001"`, `"is_update_payment_method": false`}},
		{dodo, "refund", []string{`"is_partial": false`, `"payment_id": "pay_KhExample0001"`, `"refund_id": "ref_KhExample0001"`, `"status": "succeeded"`}},
		{dodo, "partial_refund", []string{`"amount": 500`, `"currency": "EUR"`}},
		{dodo, "dispute", []string{`"dispute_status": "dispute_opened"`, `"dispute_id": "dp_KhExample0001"`}},
	} {
		for _, field := range c.fields {
			name, value, _ := strings.Cut(field, ": ")
			for _, bad := range wrong {
				if !isAllowed(name, value, bad) {
					testWrongShape(t, c.system, c.name, field, name+": "+bad)
				}
			}
			if !isAllowed(name, value, "null") {
				testWrongShape(t, c.system, c.name, field, `"missing": 0`)
			}
		}
	}
}

// isAllowed reports whether the bad value of a field has a documented shape all the same.
func isAllowed(name, value, bad string) bool {
	switch name {
	case `"has_more"`, `"trial_period_days"`, `"applied_balance_amount"`, `"is_update_payment_method"`, `"current_period_end"`:
		if bad == "null" {
			return true
		}
	case `"subscription"`: // an invoice may be for something else
		return bad == "null" || bad == `"x"`
	case `"subscription_id"`: // a payment may be for something else too, but a subscription has an ID
		return bad == `"x"` || bad == "null" && strings.HasPrefix(value, `"sub_`)
	case `"product"`:
		return true
	}
	isNumber := strings.Contains(name, "amount") // a negative one is nothing
	return bad == `"x"` && (strings.HasSuffix(name, `id"`) || name == `"invoice"` || name == `"billing_reason"` || name == `"status"` && value == `"x"`) ||
		bad == "true" && (value == "true" || value == "false") || bad == "-1" && isNumber
}

func testWrongShape(t *testing.T, s system, name, old, new string) {
	t.Helper()
	st := newStore()
	body := edit(t, loadPayload(t, s, name), old, new)
	if got := s.deliver(s.handler(t, st, withOwner()), "e", body); got != 422 || len(st.rejected) != 1 || len(st.rows) > 0 {
		t.Errorf("%s %s: %.60s: got %d, rows %v", s.name, name, new, got, st.rows)
	}
}

// E-03: a payment, refund or dispute that contradicts itself or what is stored is rejected
// and kept, and changes nothing.
func TestContradictions(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name     string
		system   system
		event    string
		old, new string
		reason   string
	}{
		{"another currency", stripe, "refund", `"currency": "eur"`, `"currency": "usd"`, "Currency"},
		{"another currency", polar, "refund", `"currency": "usd"`, `"currency": "eur"`, "Currency"},
		{"another currency", dodo, "partial_refund", `"currency": "EUR"`, `"currency": "USD"`, "Currency"},
		{"no currency", stripe, "refund", `"currency": "eur"`, `"currency": "euro"`, "Currency"},
		{"a period that runs backwards", stripe, "payment", `"start": 1775037600`, `"start": 1777629601`, "PeriodEnd"},
		{"a period that runs backwards", polar, "payment", `"current_period_start": "2026-04-01`, `"current_period_start": "2026-06-01`, "PeriodEnd"},
		{"a subscription that ends before it begins", stripe, "purchase", `"current_period_start": 1772359200`, `"current_period_start": 1775041201`, "PeriodEnd"},
		{"a subscription that ends before it begins", polar, "purchase", `"current_period_start": "2026-03-01`, `"current_period_start": "2026-05-01`, "PeriodEnd"},
		{"a subscription that ends before it begins", dodo, "purchase", `"previous_billing_date": "2026-03-01`, `"previous_billing_date": "2026-05-01`, "PeriodEnd"},
		{"an amount that is not whole", stripe, "refund", `"amount": 1900`, `"amount": 1900.0`, "whole number"},
		{"an amount that is not whole", polar, "payment", `"net_amount": 1900`, `"net_amount": 19e2`, "whole number"},
		{"an amount that is not whole", dodo, "payment", `"total_amount": 1900`, `"total_amount": "1900"`, "whole number"},
		{"no lines", stripe, "payment", `"data": [`, `"data": [], "more": [`, "lines.data"},
	} {
		st := newStore()
		h := c.system.handler(t, st, nil)
		for _, name := range c.system.payment() {
			if c.event != "payment" {
				c.system.checkDelivery(t, h, name, 200)
			}
		}
		before := maps.Clone(st.rows)
		body := edit(t, loadPayload(t, c.system, c.event), c.old, c.new)
		got := c.system.deliver(h, "e", body)
		if got != 422 || !maps.Equal(st.rows, before) || len(st.rejected) != 1 {
			t.Errorf("%s %s, %s: got %d, the rows %v and %d rejected events, want 422", c.system.name, c.event, c.name, got, st.rows, len(st.rejected))
		}
		for _, r := range st.rejected {
			if !strings.Contains(r.reason, c.reason) || !bytes.Equal(r.body, body) {
				t.Errorf("%s %s, %s: saved with the reason %q, want %q and the body", c.system.name, c.event, c.name, r.reason, c.reason)
			}
		}
	}
}

// Names are case-sensitive, unlike in encoding/json.
func TestNamesAreCaseSensitive(t *testing.T) {
	t.Parallel()
	body := edit(t, loadPayload(t, stripe, "past_due"), `"status": "past_due"`, `"status": "past_due", "Status": "active", "STATUS": "active"`)
	st := newStore()
	if got := stripe.deliver(stripe.handler(t, st, nil), "", body); got != 200 || st.onlyRow(t).Status != pastDue {
		t.Errorf("got %d, %v", got, st.rows)
	}
}

// A body that is costly to parse is processed within bounded time.
func TestCostlyBodies(t *testing.T) {
	t.Parallel()
	var names strings.Builder
	for i := range 18_000 {
		fmt.Fprintf(&names, `"%x":[],`, i)
	}
	for name, middle := range map[string]string{
		"many objects": `"a":[` + strings.Repeat(`{},`, 80_000) + `0]`, "many names": names.String() + `"z":0`, "a long number": `"a":` + strings.Repeat("9", 240_000),
	} {
		began := time.Now()
		got := stripe.deliver(stripe.handler(t, newStore(), nil), "", []byte(`{"id":"evt_1","type":"invoice.created",`+middle+`}`))
		if took := time.Since(began); got != 200 || took > 5*time.Second {
			t.Errorf("%s: got %d after %v", name, got, took)
		}
	}
}
