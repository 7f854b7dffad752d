package webhook_test

import (
	"maps"
	"os"
	"path/filepath"
	"testing"

	"github.com/keyhatch/keyhatch/entitlement"
)

// FuzzSignatureHeaders checks that no header is accepted without a signature by the
// secret, and that other signatures along with a valid one do not invalidate it, unless the
// header is malformed.
func FuzzSignatureHeaders(f *testing.F) {
	for _, header := range []string{
		"", "v1,", "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=", "v1a,AAAA v1,AAAA", " ", ",,,", "v1 v1 v1",
		"t=1,v1=00", "t=1492774577,v1=5257a869e7ecebeda32affa62cdca3fa51cad7e77a0e56ff536d0ce8e108d8bd,v0=00", "t=", "=", "t=1,t=2", "v1=\x00",
	} {
		f.Add(header, "1772359200", "msg_1")
	}
	bodies := map[string][]byte{}
	for _, s := range systems {
		bodies[s.name] = loadPayload(f, s, "purchase")
	}
	f.Fuzz(func(t *testing.T, header, timestamp, id string) {
		for _, s := range systems {
			st := newStore()
			h := s.handler(t, st, withOwner())
			body := bodies[s.name]
			r := s.request("good", body)
			r.Header.Set("Webhook-Id", id)
			r.Header.Set("Webhook-Timestamp", timestamp)
			r.Header.Set("Webhook-Signature", header)
			r.Header.Set("Stripe-Signature", header)
			if got := serve(h, r).Code; got != 400 && got != 401 || len(st.calls) > 0 {
				t.Errorf("%s: header %q: got %d, %v", s.name, header, got, st.calls)
			}
			r = s.request("good", body)
			if s.name == "stripe" {
				r.Header.Set("Stripe-Signature", r.Header.Get("Stripe-Signature")+","+header)
			} else {
				r.Header.Set("Webhook-Signature", r.Header.Get("Webhook-Signature")+" "+header)
			}
			if got := serve(h, r).Code; got != 200 && got != 400 {
				t.Errorf("%s: header %q along with a valid signature: got %d", s.name, header, got)
			}
		}
	})
}

// FuzzPayload checks that every signed body is processed, ignored, or rejected and saved.
// A processed one is stored with valid values, which are the same in the next run.
func FuzzPayload(f *testing.F) {
	seeds := 0
	for _, s := range systems {
		files, err := filepath.Glob(filepath.Join("testdata", s.name, "*.json"))
		if err != nil {
			f.Fatal(err)
		}
		for _, file := range files {
			body, err := os.ReadFile(file)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(body)
			seeds++
		}
	}
	if seeds < 50 {
		f.Fatalf("got only %d seeds in testdata", seeds)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, s := range systems {
			first, second := newStore(), newStore()
			status := s.deliver(s.handler(t, first, withOwner()), "e", body)
			again := s.deliver(s.handler(t, second, withOwner()), "e", body)
			if status != again || !maps.Equal(first.rows, second.rows) {
				t.Errorf("%s: got %d and %d, %v and %v", s.name, status, again, first.rows, second.rows)
			}
			checkOutcome(t, s, status, first)
		}
	})
}

func checkOutcome(t *testing.T, s system, status int, st *memStore) {
	switch {
	case status == 413:
	case status == 422 && (len(st.rejected) != 1 || len(st.rows) > 0):
		t.Errorf("%s: got %d rejected events and the rows %v", s.name, len(st.rejected), st.rows)
	case status != 200 && status != 422:
		t.Errorf("%s: got %d", s.name, status)
	}
	for _, row := range st.rows {
		updated, version := ageOf(row)
		if _, isCharge := row.(entitlement.Charge); updated.IsZero() || version <= 0 && !isCharge {
			t.Errorf("%s: %+v", s.name, row)
		}
		switch row := row.(type) {
		case entitlement.Subscription:
			checkSubscription(t, s, row)
		case entitlement.Payment:
			if row.Amount < 0 || row.PeriodStart.IsZero() {
				t.Errorf("%s: %+v", s.name, row)
			}
		case entitlement.Charge:
			if row.ID == "" || row.Payment == "" {
				t.Errorf("%s: %+v", s.name, row)
			}
		case entitlement.Reversal:
			if row.Amount < 0 {
				t.Errorf("%s: %+v", s.name, row)
			}
		}
	}
}

func checkSubscription(t *testing.T, s system, row entitlement.Subscription) {
	granted := row.Status == active || row.Status == pastDue
	_, err := catalog.Plan(row.Plan)
	switch {
	case !row.Status.Valid(), row.ID == "", row.StartedAt.IsZero():
		t.Errorf("%s: %+v", s.name, row)
	case granted && (row.PeriodEnd.IsZero() || err != nil):
		t.Errorf("%s: stored a plan without an end or an unknown plan: %+v", s.name, row)
	}
}
