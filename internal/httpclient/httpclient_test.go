package httpclient_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/keyhatch/keyhatch/internal/httpclient"
)

const secret = "swordfish-swordfish"

func client(t *testing.T) *httpclient.Client {
	c := httpclient.New(httpclient.NewTransport(nil, time.Minute), time.Minute,
		http.Header{"authorization": {"Bearer " + secret}, "Accept": {"text/plain"}}, http.Header{"Accept": {"application/json"}})
	t.Cleanup(c.Close)
	return c
}

func get(url string) httpclient.Request {
	return httpclient.Request{Method: http.MethodGet, URL: url, MaxBody: 10, Check: func(*http.Response) error { return nil }}
}

func TestDo(t *testing.T) {
	t.Parallel()
	var other int
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/header":
			fmt.Fprint(w, r.Header.Get("Authorization") == "Bearer "+secret, r.Header["Accept"])
		case "/long":
			io.WriteString(w, strings.Repeat("x", 11))
		case "/redirect":
			w.Header().Set("Location", "/other")
			w.WriteHeader(http.StatusFound)
		case "/other":
			other++
		}
	}))
	defer server.Close()
	c := client(t)
	request := get(server.URL + "/header")
	request.MaxBody = 100
	if status, body, err := c.Do(t.Context(), request); err != nil || status != 200 || string(body) != "true [application/json]" {
		t.Errorf("got %d, %q, %v, want both headers sent, the fixed one in place of the secret one", status, body, err)
	}
	if _, _, err := c.Do(t.Context(), get(server.URL+"/long")); err == nil || !strings.Contains(err.Error(), "longer than 10 bytes") {
		t.Errorf("a body of 11 bytes: got %v", err)
	}
	if status, _, err := c.Do(t.Context(), get(server.URL+"/redirect")); err != nil || status != http.StatusFound || other > 0 {
		t.Errorf("a redirect: got %d, %v, and %d requests to the other address, want the redirect itself", status, err, other)
	}
	refused := errors.New("refused")
	request.Check = func(*http.Response) error { return refused }
	if _, _, err := c.Do(t.Context(), request); err != refused {
		t.Errorf("got %v, want the error of Check", err)
	}
}

// No error contains a secret, however the service sends it back.
func TestRedact(t *testing.T) {
	t.Parallel()
	c := client(t)
	for _, text := range []string{secret, "Bearer " + secret, fmt.Sprintf("%q", "a "+secret)} {
		if err := c.Redact(errors.New("unexpected " + text)); strings.Contains(err.Error(), secret) {
			t.Errorf("got %v", err)
		}
	}
	for _, err := range []error{errors.New("Bearer is missing"), errors.New("want application/json")} {
		if got := c.Redact(err); got != err {
			t.Errorf("got %v, want the error %v, which contains no secret", got, err)
		}
	}
	if text := fmt.Sprintf("%+v %#v", c, *c); strings.Contains(text, secret) {
		t.Errorf("the client prints its secret: %s", text)
	}
}
