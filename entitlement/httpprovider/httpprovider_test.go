package httpprovider_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/keyhatch/keyhatch/entitlement"
	"github.com/keyhatch/keyhatch/entitlement/httpprovider"
)

const secret = "hunter2-hunter2"

var catalog = func() *entitlement.Catalog {
	c, err := entitlement.NewCatalog(map[string]entitlement.Entitlement{
		"free": {},
		"pro":  {APIAccess: true, MaxKeys: 5, Scopes: []string{"reports:*"}, Grace: 72 * time.Hour},
	})
	if err != nil {
		panic(err)
	}
	return c
}()

// newProvider returns a Provider with a secret in its header, which must not appear
// in errors.
func newProvider(t testing.TB, address string, o httpprovider.Options) *httpprovider.Provider {
	t.Helper()
	if o.Header == nil {
		o.Header = http.Header{"Authorization": {"Bearer " + secret}}
	}
	p, err := httpprovider.New(address, catalog, &o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

func serve(t testing.TB, h http.HandlerFunc) string {
	t.Helper()
	server := httptest.NewUnstartedServer(h)
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.Start()
	t.Cleanup(server.Close)
	return server.URL
}

// respondWith returns the body for every request.
func respondWith(body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, body)
	}
}

// checkOutage fails unless the error counts as an outage and contains neither the secret
// nor the owner.
func checkOutage(t *testing.T, e entitlement.Entitlement, err error) {
	t.Helper()
	if err == nil || errors.Is(err, entitlement.ErrNone) || !reflect.ValueOf(e).IsZero() {
		t.Errorf("got %+v, %v, want an outage", e, err)
		return
	}
	if text := fmt.Sprintf("%v %+v %#v", err, err, err); strings.Contains(text, secret) || strings.Contains(text, "user_1") || len(err.Error()) > 1000 {
		t.Errorf("the error contains the secret or the owner: %.300s", text)
	}
	if !strings.HasPrefix(err.Error(), "httpprovider: ") {
		t.Errorf("got %v, want an error that begins with httpprovider:", err)
	}
}

func TestResponses(t *testing.T) {
	t.Parallel()
	year := time.Now().AddDate(1, 0, 0).UTC().Truncate(time.Second)
	yesterday, lastWeek := time.Now().AddDate(0, 0, -1).UTC().Truncate(time.Second), time.Now().AddDate(0, 0, -7).UTC().Truncate(time.Second)
	at := func(u time.Time) string { return u.Format(time.RFC3339) }
	pro := entitlement.Entitlement{Plan: "pro", APIAccess: true, MaxKeys: 5, Scopes: []string{"reports:*"}, Grace: 72 * time.Hour}
	with := func(f func(*entitlement.Entitlement)) entitlement.Entitlement {
		e := pro.Clone()
		f(&e)
		return e
	}
	until := func(u time.Time) entitlement.Entitlement {
		return with(func(e *entitlement.Entitlement) { e.ValidUntil = u })
	}
	denied := func(e entitlement.Entitlement) entitlement.Entitlement { e.APIAccess = false; return e }
	for name, c := range map[string]struct {
		body string
		want entitlement.Entitlement
		err  error
	}{
		"a plan without an end":     {`{"owner":"user_1","plan":"pro","valid_until":null}`, pro, nil},
		"a plan without access":     {`{"owner":"user_1","plan":"free","valid_until":null}`, entitlement.Entitlement{Plan: "free"}, nil},
		"all fields":                {`{"owner":"user_1","plan":"pro","status":"active","valid_until":"` + at(year) + `","override":{}}`, until(year), nil},
		"nulls":                     {`{"owner":"user_1","plan":"pro","status":null,"valid_until":null,"override":null}`, pro, nil},
		"in any order, with spaces": {"\n{ \"valid_until\" : null,\t\"plan\":\"pro\" , \"owner\":\"user_1\" }\r\n", pro, nil},
		"escaped":                   {`{"\u006fwner":"user\u005f1","plan":"pr\u006f","valid_until":null}`, pro, nil},
		"an end in another zone":    {`{"owner":"user_1","plan":"pro","valid_until":"` + year.In(time.FixedZone("", 5400)).Format(time.RFC3339) + `"}`, until(year), nil},
		"an end with nanoseconds":   {`{"owner":"user_1","plan":"pro","valid_until":"2999-01-01T00:00:00.123456789Z"}`, until(time.Date(2999, 1, 1, 0, 0, 0, 123456000, time.UTC)), nil},
		"past due, in grace":        {`{"owner":"user_1","plan":"pro","status":"past_due","valid_until":"` + at(yesterday) + `"}`, until(yesterday), nil},
		"past due, after it":        {`{"owner":"user_1","plan":"pro","status":"past_due","valid_until":"` + at(lastWeek) + `"}`, denied(until(lastWeek)), nil},
		"lapsed":                    {`{"owner":"user_1","plan":"pro","valid_until":"` + at(lastWeek) + `"}`, denied(until(lastWeek)), nil},
		"ended":                     {`{"owner":"user_1","plan":"pro","status":"ended","valid_until":null}`, denied(pro), nil},
		"ended, with access":        {`{"owner":"user_1","plan":"pro","status":"ended","valid_until":null,"override":{"api_access":true}}`, denied(pro), nil},
		"ended, an unknown plan":    {`{"owner":"user_1","plan":"old","status":"ended","valid_until":null}`, entitlement.Entitlement{Plan: "old"}, nil},
		"more keys":                 {`{"owner":"user_1","plan":"pro","valid_until":null,"override":{"max_keys":20}}`, with(func(e *entitlement.Entitlement) { e.MaxKeys = 20 }), nil},
		"no scopes":                 {`{"owner":"user_1","plan":"pro","valid_until":null,"override":{"scopes":[]}}`, with(func(e *entitlement.Entitlement) { e.Scopes = []string{} }), nil},
		"no plan":                   {`{"owner":"user_1","plan":null}`, entitlement.Entitlement{}, entitlement.ErrNone},
		"no plan, with nulls":       {`{"owner":"user_1","plan":null,"status":null,"valid_until":null,"override":null}`, entitlement.Entitlement{}, entitlement.ErrNone},
	} {
		p := newProvider(t, serve(t, respondWith(c.body)), httpprovider.Options{})
		got, err := p.Entitlement(t.Context(), "user_1")
		if !errors.Is(err, c.err) || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: got %+v, %v, want %+v, %v", name, got, err, c.want, c.err)
		}
	}
}

// The owner is sent as one query parameter, with any characters.
func TestRequest(t *testing.T) {
	t.Parallel()
	var got *http.Request
	base := serve(t, func(w http.ResponseWriter, r *http.Request) {
		got = r.Clone(context.Background())
		respondWith(fmt.Sprintf(`{"owner":%q,"plan":"pro","valid_until":null}`, r.URL.Query().Get("owner")))(w, r)
	})
	mine := http.Header{"Authorization": {"Bearer " + secret}, "x-more": {"1", "2"}, "Accept": {"text/html"}, "Accept-Encoding": {"gzip"}}
	p := newProvider(t, base+"/billing/plan", httpprovider.Options{Header: mine})
	mine.Set("Authorization", "changed")
	for _, owner := range []string{"user_1", "a b", "../../admin", "a/b?c=d&owner=e#f", "a&plan=pro", "%2e%2e", "ä\u2028🙂", "+", "a;b"} {
		if e, err := p.Entitlement(t.Context(), owner); err != nil || !e.APIAccess {
			t.Errorf("%q: got %+v, %v", owner, e, err)
		}
		if got.Method != "GET" || got.URL.Path != "/billing/plan" || !reflect.DeepEqual(got.URL.Query(), url.Values{"owner": {owner}}) {
			t.Errorf("%q: got %s %s", owner, got.Method, got.URL)
		}
		want := http.Header{
			"Authorization": {"Bearer " + secret}, "X-More": {"1", "2"},
			"Accept": {"application/json"}, "Accept-Encoding": {"identity"}, "Cache-Control": {"no-cache"},
			"User-Agent": {"Go-http-client/1.1"},
		}
		if !reflect.DeepEqual(got.Header, want) {
			t.Errorf("%q: got the header %v, want %v", owner, got.Header, want)
		}
	}
	got = nil
	for _, owner := range []string{"", "a\xff"} {
		e, err := p.Entitlement(t.Context(), owner)
		checkOutage(t, e, err)
		if got != nil {
			t.Errorf("the service received a request for owner %q", owner)
		}
	}
}

func TestAddress(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		address        string
		good, insecure bool // insecure: accepted only with InsecureHTTP
	}{
		{"https://billing.internal", true, false},
		{"https://billing.internal:8443/v1/plan/", true, false},
		{"HTTPS://billing.internal/plan", true, false},
		{"https://[2001:db8::1]/plan", true, false},
		{"http://localhost:8080/plan", true, false},
		{"http://127.0.0.1:8080/plan", true, false},
		{"http://[::1]:8080/plan", true, false},
		{"http://billing.internal/plan", false, true},
		{"http://10.0.0.1:80", false, true},
		{"http://127.0.0.1.example.com", false, true},
		{"http://localhost.example.com", false, true},
		{"http://0.0.0.0", false, true},
		{"", false, false},
		{"billing.internal/plan", false, false},
		{"//billing.internal/plan", false, false},
		{"/plan", false, false},
		{"https://", false, false},
		{"https://:443", false, false},
		{"https:billing.internal", false, false},
		{"ftp://billing.internal", false, false},
		{"unix:///run/billing.sock", false, false},
		{"https://user:" + secret + "@billing.internal", false, false},
		{"https://" + secret + "@billing.internal", false, false},
		{"https://billing.internal?key=" + secret, false, false},
		{"https://billing.internal?", false, false},
		{"https://billing.internal#" + secret, false, false},
		{"https://u:" + secret + "@billing.internal:port", false, false},
		{"https://billing.internal/\n" + secret, false, false},
	} {
		for _, insecure := range []bool{false, true} {
			_, err := httpprovider.New(c.address, catalog, &httpprovider.Options{InsecureHTTP: insecure})
			if want := c.good || c.insecure && insecure; (err == nil) != want {
				t.Errorf("%q, InsecureHTTP %t: got %v, want accepted = %t", c.address, insecure, err, want)
			}
			if err != nil && strings.Contains(err.Error(), secret) {
				t.Errorf("%q: the error shows a possible password: %v", c.address, err)
			}
		}
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	if _, err := httpprovider.New("https://billing.internal", nil, nil); err == nil {
		t.Error("a nil catalog was accepted")
	}
	for want, o := range map[string]httpprovider.Options{
		"Options.Timeout":           {Timeout: -1},
		"Options.Header: \"\"":      {Header: http.Header{"": {secret}}},
		"Options.Header: \"a b\"":   {Header: http.Header{"a b": {secret}}},
		"Options.Header: \"a:\"":    {Header: http.Header{"a:": {secret}}},
		"Options.Header: X-Newline": {Header: http.Header{"X-Newline": {secret + "\r\nX: y"}}},
		"Options.Header: X-Zero":    {Header: http.Header{"X-Zero": {"fine", secret + "\x00"}}},
	} {
		_, err := httpprovider.New("https://billing.internal", catalog, &o)
		if !errors.As(err, new(*entitlement.InvalidError)) || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), secret) {
			t.Errorf("got %v, want an InvalidError with %q", err, want)
		}
	}
}

// No verb of fmt prints the secret of a Provider or of a struct that contains one.
func TestProviderPrintsNoSecret(t *testing.T) {
	t.Parallel()
	p := newProvider(t, "https://billing.internal", httpprovider.Options{})
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
		if text := fmt.Sprintf(verb, struct{ p any }{p}) + fmt.Sprintf(verb, p); strings.Contains(text, secret) {
			t.Errorf("%s prints the secret: %s", verb, text)
		}
	}
}

func TestNoRedirectsOrCookies(t *testing.T) {
	t.Parallel()
	elsewhere := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("the redirect was followed with: %s %v", r.URL, r.Header)
	})
	base := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if len(r.Cookies()) > 0 {
			t.Errorf("got the cookies %v", r.Cookies())
		}
		if strings.HasPrefix(r.URL.Path, "/good") {
			t.Errorf("the redirect was followed to %s", r.URL)
		}
		http.SetCookie(w, &http.Cookie{Name: "session", Value: "1"})
		status := map[string]int{"/301": 301, "/302": 302, "/307": 307, "/308": 308}[r.URL.Path]
		to := "/good"
		if r.URL.Query().Get("owner") == "far" {
			to = elsewhere
		}
		w.Header().Set("Location", to)
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		io.WriteString(w, `{"owner":"near","plan":"pro","valid_until":null}`)
	})
	for _, path := range []string{"/301", "/302", "/307", "/308"} {
		p := newProvider(t, base+path, httpprovider.Options{})
		for _, owner := range []string{"near", "far", "near"} {
			e, err := p.Entitlement(t.Context(), owner)
			checkOutage(t, e, err)
		}
	}
}

// Successive requests reuse one connection, even after outages.
func TestConnectionsAreReused(t *testing.T) {
	t.Parallel()
	var opened, n atomic.Int32
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch n.Add(1) % 4 {
		case 0:
			http.NotFound(w, r)
		case 1:
			w.WriteHeader(500)
			io.WriteString(w, strings.Repeat("x", 60<<10))
		case 2:
			respondWith("<html>"+strings.Repeat(" ", 30<<10))(w, r)
		default:
			respondWith(`{"owner":"user_1","plan":"pro","valid_until":null}`)(w, r)
		}
	}))
	server.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			opened.Add(1)
		}
	}
	server.Start()
	t.Cleanup(server.Close)
	p := newProvider(t, server.URL, httpprovider.Options{})
	good := 0
	for range 40 {
		if _, err := p.Entitlement(t.Context(), "user_1"); err == nil {
			good++
		}
	}
	if opened.Load() != 1 || good != 10 {
		t.Errorf("got %d connections and %d results, want 1 and 10", opened.Load(), good)
	}
}

// Each of many concurrent calls returns the result for its own owner.
func TestConcurrency(t *testing.T) {
	t.Parallel()
	p := newProvider(t, serve(t, func(w http.ResponseWriter, r *http.Request) {
		owner, plan := r.URL.Query().Get("owner"), `"pro"`
		if strings.HasPrefix(owner, "none") {
			respondWith(fmt.Sprintf(`{"owner":%q,"plan":null}`, owner))(w, r)
			return
		}
		if strings.HasPrefix(owner, "free") {
			plan = `"free"`
		}
		respondWith(fmt.Sprintf(`{"owner":%q,"plan":%s,"valid_until":null}`, owner, plan))(w, r)
	}), httpprovider.Options{Timeout: 30 * time.Second})
	var wg sync.WaitGroup
	for n := range 50 {
		wg.Go(func() {
			for _, kind := range []string{"pro", "free", "none"} {
				e, err := p.Entitlement(t.Context(), fmt.Sprint(kind, n))
				if errors.Is(err, entitlement.ErrNone) != (kind == "none") || err == nil && e.Plan != kind || e.APIAccess != (kind == "pro") {
					t.Errorf("%s: got %+v, %v", kind, e, err)
				}
			}
		})
	}
	wg.Wait()
}
