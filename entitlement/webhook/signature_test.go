package webhook_test

import (
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/keyhatch/keyhatch/entitlement/webhook"
)

// An unreadBody fails the test if it is read.
type unreadBody struct{ t *testing.T }

func (b unreadBody) Read([]byte) (int, error) {
	b.t.Error("the body was read")
	return 0, io.EOF
}

func sleepUntil(unix int64) { time.Sleep(time.Until(time.Unix(unix, 0))) }

// Signatures from elsewhere. The first is the vector of the Standard Webhooks libraries
// (TestWebhookSign). The others were computed with another HMAC implementation and the
// key that the billing system's own SDK derives from the secret. An authentic body that is not an
// event gets 422.
func TestVectors(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		source  webhook.Source
		unix    int64
		headers map[string]string
		body    string
		want    int
	}{
		"Standard Webhooks": {webhook.Dodo(business, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"), 1614265330, map[string]string{
			"webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek", "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
		}, `{"test": 2432232314}`, 422},
		"without the prefix": {webhook.Dodo(business, "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"), 1614265330, map[string]string{
			"webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek", "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
		}, `{"test": 2432232314}`, 422},
		"Polar, a secret from before 8 September 2026": {webhook.Polar(organization, secret), 1790000000, map[string]string{
			"webhook-id": "8e3a0d6c-0000-4000-8000-000000000001", "webhook-signature": "v1,gWM4D7LJNUU9OAwN3Yl71AT9LnuR67yCw4p39OT5xO4=",
		}, `{"type":"product.updated","timestamp":"2026-09-30T00:00:00Z","data":{}}`, 200},
		"Polar, a secret from since": {webhook.Polar(organization, secret), 1790000000, map[string]string{
			"webhook-id": "8e3a0d6c-0000-4000-8000-000000000001", "webhook-signature": "v1,4RH5LZqbomxQtYiOs7qVsT6KPjmhD19qoMXt4u24pmM=",
		}, `{"type":"product.updated","timestamp":"2026-09-30T00:00:00Z","data":{}}`, 200},
		"Stripe": {webhook.Stripe("whsec_KhExampleKhExampleKhExampleKh12"), 1492774577, map[string]string{
			"stripe-signature": "t=1492774577,v1=1ad971cc612dad70420ad4d629f6f468d63e4c2ff18d54de187925d0f8eab93c,v0=6ffbb59b2300aae63f272406069a9788598b792a944a07aba816edb039989a39",
		}, `{"id":"evt_1","type":"invoice.paid"}`, 422},
	} {
		synctest.Test(t, func(t *testing.T) {
			sleepUntil(c.unix)
			h, err := webhook.New(newStore(), c.source, catalog, products, nil)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			for body, want := range map[string]int{c.body: c.want, c.body + " ": 401, c.body[1:]: 401, "": 401} {
				r := httptest.NewRequest("POST", "/", strings.NewReader(body))
				r.Header.Set("webhook-timestamp", fmt.Sprint(c.unix))
				for name, value := range c.headers {
					r.Header.Set(name, value)
				}
				if got := serve(h, r).Code; got != want {
					t.Errorf("%s: body %q: got %d, want %d", name, body, got, want)
				}
			}
		})
	}
}

// Wrong headers are refused before the body is read. The response has only a status.
func TestHeadersThatAreRefused(t *testing.T) {
	t.Parallel()
	type edits map[string][]string
	now := fmt.Sprint(time.Now().Unix())
	good := strings.Repeat("A", 43) + "="
	standard := map[string]struct {
		edits edits
		want  int
	}{
		"no id":               {edits{"Webhook-Id": nil}, 401},
		"no timestamp":        {edits{"Webhook-Timestamp": nil}, 401},
		"no signature":        {edits{"Webhook-Signature": nil}, 401},
		"empty id":            {edits{"Webhook-Id": {""}}, 401},
		"empty signature":     {edits{"Webhook-Signature": {""}}, 401},
		"two ids":             {edits{"Webhook-Id": {"a", "a"}}, 400},
		"two timestamps":      {edits{"Webhook-Timestamp": {now, now}}, 400},
		"two signatures":      {edits{"Webhook-Signature": {"v1," + good, "v1," + good}}, 400},
		"an id with a dot":    {edits{"Webhook-Id": {"a." + now}}, 400},
		"a long id":           {edits{"Webhook-Id": {strings.Repeat("a", 256)}}, 400},
		"an id that is a tab": {edits{"Webhook-Id": {"\t"}}, 400},
		"17 signatures":       {edits{"Webhook-Signature": {strings.Repeat("v1,AAAA ", 16) + "v1,AAAA"}}, 400},
		"a mebibyte":          {edits{"Webhook-Signature": {strings.Repeat("v1,AAAA ", 1<<17)}}, 400},
		"a date":              {edits{"Webhook-Timestamp": {"2026-01-01T00:00:00Z"}}, 400},
		"a plus":              {edits{"Webhook-Timestamp": {"+" + now}}, 400},
		"a minus":             {edits{"Webhook-Timestamp": {"-" + now}}, 400},
		"a space":             {edits{"Webhook-Timestamp": {now + " "}}, 400},
		"a fraction":          {edits{"Webhook-Timestamp": {now + ".5"}}, 400},
		"year 1970":           {edits{"Webhook-Timestamp": {"1"}}, 401},
		"zero":                {edits{"Webhook-Timestamp": {"0"}}, 400},
		"milliseconds":        {edits{"Webhook-Timestamp": {now + "000"}}, 400},
		"twelve nines":        {edits{"Webhook-Timestamp": {"999999999999"}}, 400},
	}
	for name, c := range standard {
		r := httptest.NewRequest("POST", "/", unreadBody{t})
		r.Header = http.Header{"Webhook-Id": {"a"}, "Webhook-Timestamp": {now}, "Webhook-Signature": {"v1," + good}}
		for name, values := range c.edits {
			r.Header[name] = values
		}
		checkRefused(t, dodo, r, name, c.want)
	}
	mac := strings.Repeat("0", 64)
	for name, c := range map[string]struct {
		values []string
		want   int
	}{
		"none": {nil, 401}, "empty": {[]string{""}, 401}, "two": {[]string{"t=" + now + ",v1=" + mac, "t=" + now + ",v1=" + mac}, 400},
		"no time": {[]string{"v1=" + mac}, 400}, "two times": {[]string{"t=" + now + ",t=" + now + ",v1=" + mac}, 400},
		"no name": {[]string{"t=" + now + "," + mac}, 400}, "spaces": {[]string{"t=" + now + " ,v1=" + mac}, 400},
		"no digits": {[]string{"t=,v1=" + mac}, 400}, "hex": {[]string{"t=0x5f,v1=" + mac}, 400}, "long ago": {[]string{"t=1492774577,v1=" + mac}, 401},
		"many": {[]string{"t=" + now + strings.Repeat(",v1=00", 17)}, 400}, "a mebibyte": {[]string{"t=" + now + ",v1=" + strings.Repeat("0", 1<<20)}, 400},
		"the other kind": {[]string{"v1," + good}, 400},
	} {
		r := httptest.NewRequest("POST", "/", unreadBody{t})
		r.Header = http.Header{"Stripe-Signature": c.values}
		checkRefused(t, stripe, r, name, c.want)
	}
}

func checkRefused(t *testing.T, s system, r *http.Request, name string, want int) {
	t.Helper()
	st := newStore()
	w := serve(s.handler(t, st, nil), r)
	if w.Code != want || w.Body.Len() != 0 || w.Header().Get("Cache-Control") != "no-store" {
		t.Errorf("%s: %s: got %d, %q, want %d and no body", s.name, name, w.Code, w.Body, want)
	}
	if len(st.calls) > 0 {
		t.Errorf("%s: %s: the store was called: %v", s.name, name, st.calls)
	}
}

// E-12
func TestForgeries(t *testing.T) {
	t.Parallel()
	for _, s := range systems {
		body := loadPayload(t, s, "purchase")
		for name, forge := range map[string]func(h http.Header){
			"another secret": func(h http.Header) { s.sign(h, other, "e", time.Now(), body) },
			"another body":   func(h http.Header) { s.sign(h, secret, "e", time.Now(), body[1:]) },
			"another id": func(h http.Header) {
				if s.name == "stripe" {
					h.Set("Stripe-Signature", strings.Replace(h.Get("Stripe-Signature"), "v1=", "v1=00", 1))
				}
				h.Set("Webhook-Id", "f")
			},
			"another time": func(h http.Header) {
				text := h.Get("Webhook-Timestamp")
				h.Set("Webhook-Timestamp", fmt.Sprint(time.Now().Unix()+1))
				if _, after, ok := strings.Cut(h.Get("Stripe-Signature"), ","); ok {
					h.Set("Stripe-Signature", fmt.Sprintf("t=%d,%s", time.Now().Unix()+1, after))
				}
				if text == fmt.Sprint(time.Now().Unix()+1) {
					t.Error("the edited time is unchanged")
				}
			},
			"an empty key": func(h http.Header) {
				if s.name == "stripe" {
					now := time.Now()
					h.Set("Stripe-Signature", fmt.Sprintf("t=%d,v1=%x", now.Unix(), computeMAC(nil, fmt.Sprint(now.Unix())+".", body)))
					return
				}
				signWith(h, nil, "e", time.Now(), body)
			},
			"another version": func(h http.Header) {
				h.Set("Webhook-Signature", strings.Replace(h.Get("Webhook-Signature"), "v1,", "v2,", 1))
				h.Set("Stripe-Signature", strings.Replace(h.Get("Stripe-Signature"), "v1=", "v2=", 1))
			},
			"a cut signature": func(h http.Header) {
				h.Set("Webhook-Signature", "v1,"+strings.Repeat("A", 42)+"==")
				stamp, _, _ := strings.Cut(h.Get("Stripe-Signature"), ",")
				h.Set("Stripe-Signature", stamp+",v1="+strings.Repeat("0", 62))
			},
		} {
			r := s.request("e", body)
			forge(r.Header)
			checkRefused(t, s, r, name, 401)
		}
	}
}

// Stripe's key is the whole secret, not its base64. With Dodo it is the other way
// round.
func TestKeyEncoding(t *testing.T) {
	t.Parallel()
	body := loadPayload(t, dodo, "purchase")
	r := dodo.request("e", body)
	signText(r.Header, secret, "e", time.Now(), body)
	checkRefused(t, dodo, r, "the text as the key", 401)
	r = polar.request("e", loadPayload(t, polar, "purchase"))
	signStandard(r.Header, secret, "e", time.Now(), loadPayload(t, polar, "purchase"))
	if got := serve(polar.handler(t, newStore(), nil), r).Code; got != 200 {
		t.Errorf("Polar with either key: got %d, want 200", got)
	}
}

// With several secrets and several signatures, one pair must match.
func TestRotation(t *testing.T) {
	t.Parallel()
	for _, s := range systems {
		body := loadPayload(t, s, "purchase")
		for name, c := range map[string]struct {
			secrets []string
			signed  string
			want    int
		}{
			"the new one": {[]string{secret, other}, secret, 200},
			"the old one": {[]string{other, secret}, secret, 200},
			"removed":     {[]string{secret}, other, 401},
		} {
			h, err := webhook.New(newStore(), s.source(c.secrets...), catalog, products, nil)
			if err != nil {
				t.Fatal(err)
			}
			r := s.request("e", body)
			s.sign(r.Header, c.signed, "e", time.Now(), body)
			if got := serve(h, r).Code; got != c.want {
				t.Errorf("%s: %s: got %d, want %d", s.name, name, got, c.want)
			}
		}
		r := s.request("e", body)
		addOtherSignatures(r.Header)
		if got := serve(s.handler(t, newStore(), nil), r).Code; got != 200 {
			t.Errorf("%s: the last of several signatures: got %d, want 200", s.name, got)
		}
	}
}

// addOtherSignatures puts other signatures before the valid one.
func addOtherSignatures(h http.Header) {
	if good := h.Get("Webhook-Signature"); good != "" {
		h.Set("Webhook-Signature", "v1a,AAAA v1,"+strings.Repeat("A", 43)+"= v1 v1,? , "+good)
	}
	if stamp, good, ok := strings.Cut(h.Get("Stripe-Signature"), ","); ok {
		h.Set("Stripe-Signature", "v0=00,"+stamp+",v1="+hex.EncodeToString(make([]byte, 32))+",v1=?,v2=00,"+good)
	}
}

// E-12: a signature more than five minutes in the past or future is refused.
func TestTolerance(t *testing.T) {
	t.Parallel()
	for _, s := range systems {
		for name, c := range map[string]struct {
			signed time.Duration // from now
			later  time.Duration // into the second
			want   int
		}{
			"five minutes ago": {-5 * time.Minute, 0, 200}, "in five minutes": {5 * time.Minute, 0, 200},
			"a moment more": {-5 * time.Minute, 1, 401}, "a second more": {-5*time.Minute - time.Second, 0, 401},
			"in a second more": {5*time.Minute + time.Second, 0, 401}, "in a moment less": {5 * time.Minute, 1, 200},
		} {
			synctest.Test(t, func(t *testing.T) {
				body := loadPayload(t, s, "purchase")
				r := s.request("e", body)
				s.sign(r.Header, secret, "e", time.Now().Add(c.signed), body)
				time.Sleep(c.later)
				if got := serve(s.handler(t, newStore(), nil), r).Code; got != c.want {
					t.Errorf("%s: signed %s: got %d, want %d", s.name, name, got, c.want)
				}
			})
		}
	}
}
