package webhook_test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/keyhatch/keyhatch/entitlement"
	"github.com/keyhatch/keyhatch/entitlement/webhook"
)

var catalog = func() *entitlement.Catalog {
	c, err := entitlement.NewCatalog(map[string]entitlement.Entitlement{
		"pro": {APIAccess: true, Rank: 1, Grace: 72 * time.Hour}, "team": {APIAccess: true, Rank: 2},
	})
	if err != nil {
		panic(err)
	}
	return c
}()

var products = map[string]string{
	"price_1Qpro0KhExample": "pro", "prod_QteamExample": "team",
	"a1d0c6f2-0000-4000-8000-000000000001": "pro", "a1d0c6f2-0000-4000-8000-000000000002": "team",
	"pdt_KhExamplePro": "pro", "pdt_KhExampleTeam": "team", "extra": "",
}

const (
	secret = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
	other  = "whsec_HxMUFRYXGBkaGxwdHh8AAQIDBAUGBwgJCgsMDQ4PEBE="
	owner  = "org_42"

	// The accounts of the payloads.
	organization = "6f7a1c1e-5b1f-4a55-9d0b-0e0f7c1d2a01"
	business     = "bus_KhExample"
)

// A system is a billing system and its way of signing.
type system struct {
	name   string
	source func(secrets ...string) webhook.Source
	sign   func(h http.Header, secret, id string, at time.Time, body []byte)
}

var (
	stripe  = system{"stripe", webhook.Stripe, signStripe}
	polar   = system{"polar", func(s ...string) webhook.Source { return webhook.Polar(organization, s...) }, signText}
	dodo    = system{"dodo", func(s ...string) webhook.Source { return webhook.Dodo(business, s...) }, signStandard}
	systems = []system{stripe, polar, dodo}
)

func computeMAC(key []byte, text string, body []byte) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	h.Write(body)
	return h.Sum(nil)
}

func signStripe(h http.Header, secret, _ string, at time.Time, body []byte) {
	t := fmt.Sprint(at.Unix())
	h.Set("Stripe-Signature", "t="+t+",v1="+hex.EncodeToString(computeMAC([]byte(secret), t+".", body))+",v0=6ffbb59b2300aae63f272406069a9788")
}

func signWith(h http.Header, key []byte, id string, at time.Time, body []byte) {
	t := fmt.Sprint(at.Unix())
	h.Set("Webhook-Id", id)
	h.Set("Webhook-Timestamp", t)
	h.Set("Webhook-Signature", "v1,"+base64.StdEncoding.EncodeToString(computeMAC(key, id+"."+t+".", body)))
}

func signStandard(h http.Header, secret, id string, at time.Time, body []byte) {
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
	if err != nil {
		panic(err)
	}
	signWith(h, key, id, at, body)
}

func signText(h http.Header, secret, id string, at time.Time, body []byte) {
	signWith(h, []byte(secret), id, at, body)
}

func (s system) handler(t testing.TB, st webhook.Store, opts *webhook.Options) *webhook.Handler {
	t.Helper()
	h, err := webhook.New(st, s.source(secret), catalog, products, opts)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// withOwner returns options whose Owner always returns the owner.
func withOwner() *webhook.Options {
	return &webhook.Options{Owner: func(context.Context, webhook.Event) (string, error) { return owner, nil }}
}

func loadPayload(t testing.TB, s system, name string) []byte {
	t.Helper()
	body, err := os.ReadFile(filepath.Join("testdata", s.name, name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	return body
}

// request returns a request that is signed now. With Standard Webhooks, the event's ID
// is in a header.
func (s system) request(id string, body []byte) *http.Request {
	r := httptest.NewRequest(http.MethodPost, "/hooks", bytes.NewReader(body))
	s.sign(r.Header, secret, id, time.Now(), body)
	return r
}

// payment returns the names of the payloads that report April's payment. Stripe sends a
// second event, which names the charge.
func (s system) payment() []string {
	if s.name == "stripe" {
		return []string{"payment", "charge"}
	}
	return []string{"payment"}
}

func serve(h http.Handler, r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func (s system) deliver(h http.Handler, id string, body []byte) int {
	return serve(h, s.request(id, body)).Code
}

// checkDelivery delivers the named payload and checks the status. The name is also the
// event's ID if a header has the ID.
func (s system) checkDelivery(t *testing.T, h http.Handler, name string, status int) {
	t.Helper()
	if got := s.deliver(h, name, loadPayload(t, s, name)); got != status {
		t.Errorf("%s %s: got %d, want %d", s.name, name, got, status)
	}
}

// edit returns the payload with the old text, which must exist, replaced by the new one.
func edit(t testing.TB, body []byte, old, new string) []byte {
	t.Helper()
	if !bytes.Contains(body, []byte(old)) {
		t.Fatalf("the payload does not contain %s", old)
	}
	return bytes.ReplaceAll(body, []byte(old), []byte(new))
}

// editAny returns the payload with each first text of the pairs replaced by the second.
func editAny(body []byte, pairs []string) []byte {
	for i := 0; i < len(pairs); i += 2 {
		body = bytes.ReplaceAll(body, []byte(pairs[i]), []byte(pairs[i+1]))
	}
	return body
}
