package webhook_test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/keyhatch/keyhatch/entitlement"
	"github.com/keyhatch/keyhatch/entitlement/webhook"
)

// An invoice is an event of the host's own invoice system.
type invoice struct {
	Event    string    `json:"event"`
	Contract string    `json:"contract"`
	Account  string    `json:"account"`
	Plan     string    `json:"plan"`
	At       time.Time `json:"at"`
	PaidTo   time.Time `json:"paid_to"`
}

var invoiceSecret = []byte("0123456789abcdef0123456789abcdef")

func signInvoice(at, body string) string {
	mac := hmac.New(sha256.New, invoiceSecret)
	mac.Write([]byte(at + "." + body))
	return hex.EncodeToString(mac.Sum(nil))
}

// verifyInvoice checks the headers Invoice-Time and Invoice-Signature.
func verifyInvoice(h http.Header, body []byte) (event string, err error) {
	at, err := time.Parse(time.RFC3339, h.Get("Invoice-Time"))
	if err != nil || time.Since(at).Abs() > 5*time.Minute {
		return "", errors.New("the time is missing, malformed or too old")
	}
	want := signInvoice(h.Get("Invoice-Time"), string(body))
	if !hmac.Equal([]byte(h.Get("Invoice-Signature")), []byte(want)) {
		return "", errors.New("the signature is wrong")
	}
	var i invoice
	err = json.Unmarshal(body, &i)
	return i.Event, err
}

// parseInvoice returns the state of the contract that an invoice has paid for.
func parseInvoice(event string, body []byte) (entitlement.Report, error) {
	var i invoice
	if err := json.Unmarshal(body, &i); err != nil {
		return entitlement.Report{}, err
	}
	return entitlement.Report{Subscription: &entitlement.Subscription{
		ID: i.Contract, Owner: i.Account, Plan: i.Plan, Status: entitlement.Active, PeriodEnd: i.PaidTo, UpdatedAt: i.At,
	}}, nil
}

// The host sends invoices by itself, and has no billing system.
func ExampleCustom() {
	catalog, err := entitlement.NewCatalog(map[string]entitlement.Entitlement{"team": {APIAccess: true}})
	if err != nil {
		panic(err)
	}
	var plans webhook.Store = newStore() // a sqlprovider.Provider in a real program
	h, err := webhook.New(plans, webhook.Custom("invoices", verifyInvoice, parseInvoice), catalog, nil, nil)
	if err != nil {
		panic(err)
	}
	body := `{"event": "inv_1", "contract": "c_1", "account": "ann", "plan": "team", "at": "2027-01-01T09:00:00Z", "paid_to": "2028-01-01T00:00:00Z"}`
	now := time.Now().UTC().Format(time.RFC3339)
	r := httptest.NewRequest(http.MethodPost, "/invoices", strings.NewReader(body))
	r.Header.Set("Invoice-Time", now)
	r.Header.Set("Invoice-Signature", signInvoice(now, body))
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	fmt.Println(w.Code)
	// Output: 200
}

func TestCustom(t *testing.T) {
	t.Parallel()
	const good = `{"event": "inv_1", "contract": "c_1", "account": "ann", "plan": "team", "at": "2027-01-01T09:00:00Z"}`
	var verify func(http.Header, []byte) (string, error)
	var parse func(string, []byte) (entitlement.Report, error)
	invalid := &entitlement.InvalidError{Field: "Plan", Err: errors.New("is unknown")}
	for _, tt := range []struct {
		name     string
		body     string
		verify   func(http.Header, []byte) (string, error)
		parse    func(string, []byte) (entitlement.Report, error)
		applyErr error
		status   int
		reports  int
		rejected string // the reason
	}{
		{name: "good", status: 200, reports: 1},
		{name: "forged", verify: func(http.Header, []byte) (string, error) { return "", errors.New("forged") }, status: 401},
		{name: "verify panics", verify: func(http.Header, []byte) (string, error) { panic("bug") }, status: 503},
		{name: "too long", body: strings.Repeat(" ", 256<<10+1), status: 413},
		{name: "does not concern plans", parse: func(string, []byte) (entitlement.Report, error) { return entitlement.Report{}, nil }, status: 200},
		{name: "cannot be used", parse: func(string, []byte) (entitlement.Report, error) {
			return entitlement.Report{}, errors.New("no contract")
		}, status: 422, rejected: "no contract"},
		{name: "parse panics", parse: func(string, []byte) (entitlement.Report, error) { panic("bug") }, status: 503},
		{name: "the store refuses", applyErr: invalid, status: 422, rejected: "invalid Plan: is unknown"},
		{name: "the store fails", applyErr: errors.New("down"), status: 503},
	} {
		st := newStore()
		st.before = func(_ context.Context, method string) error {
			if method == "Apply" {
				return tt.applyErr
			}
			return nil
		}
		verify, parse = func(http.Header, []byte) (string, error) { return "inv_1", nil }, parseInvoice
		if tt.verify != nil {
			verify = tt.verify
		}
		if tt.parse != nil {
			parse = tt.parse
		}
		log, text := newLogger()
		h, err := webhook.New(st, webhook.Custom("invoices", verify, parse), catalog, nil, &webhook.Options{Logger: log})
		if err != nil {
			t.Fatal(err)
		}
		body := tt.body
		if body == "" {
			body = good
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/", bytes.NewReader([]byte(body))))
		if w.Code != tt.status || len(st.reports) != tt.reports || st.rejected["inv_1"].reason != tt.rejected {
			t.Errorf("%s: got status %d, %d reports, rejected %q, want %d, %d, %q", tt.name,
				w.Code, len(st.reports), st.rejected["inv_1"].reason, tt.status, tt.reports, tt.rejected)
		}
		if got := strings.Contains(text.String(), "level=ERROR"); got != (tt.status == 422 || tt.status == 503) {
			t.Errorf("%s: got the log %q, want an error of a rejected event or of a failure", tt.name, text)
		}
		if tt.reports == 1 && (st.reports[0].Source != "invoices" || st.reports[0].Event != "inv_1" || st.reports[0].Subscription.Owner != "ann") {
			t.Errorf("%s: got %+v, want a report of the event", tt.name, st.reports[0])
		}
	}
}

func TestCustomNeedsANameAndFunctions(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		source webhook.Source
		want   string
	}{
		{webhook.Custom("", verifyInvoice, parseInvoice), "the name "},
		{webhook.Custom("Paddle", verifyInvoice, parseInvoice), "the name "},
		{webhook.Custom("paddle", nil, parseInvoice), "paddle: verify and parse must not be nil"},
		{webhook.Custom("paddle", verifyInvoice, nil), "paddle: verify and parse must not be nil"},
		{webhook.Source{}, "must be from Stripe, Polar, Dodo or Custom"},
	} {
		_, err := webhook.New(newStore(), c.source, catalog, nil, nil)
		if !errors.As(err, new(*entitlement.InvalidError)) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got %v, want an InvalidError with %q", err, c.want)
		}
	}
}
