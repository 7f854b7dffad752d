package webhook_test

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// A signed body without the documented shape is rejected and saved, and changes nothing.
func TestHostileBodies(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]string{
		"nothing": "", "a space": " ", "no object": `"customer.subscription.updated"`, "an array": `[]`, "null": `null`, "not JSON": `{`,
		"a name that is a number": `{"id":"evt_1","type":"invoice.paid",1:2}`,
		"two":                     `{"id":"evt_1","type":"invoice.paid"} {}`,
		"deep objects":            strings.Repeat(`{"a":`, 40_000) + `1` + strings.Repeat(`}`, 40_000),
		"deep arrays":             `{"id":"evt_1","type":"invoice.paid","a":` + strings.Repeat(`[`, 100_000) + strings.Repeat(`]`, 100_000) + `}`,
		"64 deep":                 `{"id":"evt_1","type":"invoice.paid","a":` + strings.Repeat(`[`, 64) + strings.Repeat(`]`, 64) + `}`,
		"a name twice":            `{"id":"evt_1","type":"invoice.paid","type":"invoice.paid"}`,
		"twice, escaped":          `{"id":"evt_1","type":"invoice.paid","\u0074ype":"invoice.paid"}`,
		"twice, deep down":        `{"id":"evt_1","type":"invoice.paid","a":[{"b":1,"b":1}]}`,
		"not UTF-8":               "{\"id\":\"evt_1\",\"type\":\"invoice.paid\",\"a\":\"\xff\"}",
		"no id or type":           `{}`, "a type that is a number": `{"id":"evt_1","type":1}`, "an id with NUL": `{"id":"evt_\u0000","type":"invoice.paid"}`,
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
	if got := stripe.deliver(stripe.handler(t, newStore(), nil), "", []byte(`{"id":"evt_1","type":"invoice.paid","a":`+strings.Repeat(`[`, 63)+strings.Repeat(`]`, 63)+`}`)); got != 200 {
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
		{stripe, "refund", []string{`"refunded": true`}},
		{stripe, "dispute", []string{`"status": "needs_response"`, `"charge": "ch_3QkhExample01"`}},
		{polar, "purchase", []string{`"timestamp": "2026-03-01T10:00:02.417251Z"`, `"status": "active"`, `"current_period_end": "2026-04-01T10:00:00.500000Z"`,
			`"customer_id": "c0ffee00-0000-4000-8000-000000000001"`, `"product_id": "a1d0c6f2-0000-4000-8000-000000000001"`}},
		{polar, "refund", []string{`"status": "refunded"`}},
		{dodo, "purchase", []string{`"timestamp": "2026-03-01T10:00:09.854000Z"`, `"status": "active"`, `"next_billing_date": "2026-04-01T10:00:00.120034Z"`,
			`"subscription_id": "sub_KhExample0001"`, `"customer_id": "cus_KhExample0001"`}},
		{dodo, "trial", []string{`"trial_period_days": 14`}},
		{dodo, "refund", []string{`"is_partial": false`, `"payment_id": "pay_KhExample0001"`}},
		{dodo, "dispute", []string{`"dispute_status": "dispute_opened"`, `"dispute_id": "dp_KhExample0001"`}},
	} {
		for _, field := range c.fields {
			name, value, _ := strings.Cut(field, ": ")
			for _, bad := range wrong {
				// These have the right shape, though not the right value.
				if bad == `"x"` && strings.HasSuffix(name, `id"`) || bad == `true` && name == `"is_partial"` || bad == `null` && (name == `"has_more"` || name == `"trial_period_days"`) || bad == "true" && value == "true" ||
					name == `"product"` || bad == `"x"` && name == `"charge"` {
					continue
				}
				testWrongShape(t, c.system, c.name, field, name+": "+bad)
			}
		}
	}
}

func testWrongShape(t *testing.T, s system, name, old, new string) {
	t.Helper()
	st := newStore()
	body := edit(t, loadPayload(t, s, name), old, new)
	if got := s.deliver(s.handler(t, st, withOwner()), "e", body); got != 422 || len(st.rejected) != 1 || len(st.rows) > 0 {
		t.Errorf("%s %s: %.60s: got %d, rows %v", s.name, name, new, got, st.rows)
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
		got := stripe.deliver(stripe.handler(t, newStore(), nil), "", []byte(`{"id":"evt_1","type":"invoice.paid",`+middle+`}`))
		if took := time.Since(began); got != 200 || took > 5*time.Second {
			t.Errorf("%s: got %d after %v", name, got, took)
		}
	}
}
