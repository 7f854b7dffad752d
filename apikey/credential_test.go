package apikey_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/keyhatch/keyhatch/apikey"
	"github.com/keyhatch/keyhatch/internal/testkit"
	"github.com/keyhatch/keyhatch/store/memstore"
)

// H-06: New refuses headers that browsers or proxies set, and two headers that a proxy
// could confuse.
func TestHeaderNames(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		headers []string
		good    bool
	}{
		{[]string{"Authorization"}, true},
		{[]string{"authorization", "x-api-key"}, true},
		{[]string{"X-API-Key"}, true},
		{[]string{"X-API-Key", "Api-Key", "X-Auth-Token"}, true},
		{[]string{}, false},
		{[]string{""}, false},
		{[]string{"Authorization", ""}, false},
		{[]string{"X API Key"}, false},
		{[]string{"X-API-Key:"}, false},
		{[]string{"X-API-Key\r\n"}, false},
		{[]string{"X-Schlüssel"}, false},
		{[]string{"Authorization", "authorization"}, false},
		{[]string{"X-API-Key", "x-api-key"}, false},
		{[]string{"X-API-Key", "X_API_KEY"}, false},
		{[]string{"Cookie"}, false},
		{[]string{"cookie"}, false},
		{[]string{"Set-Cookie"}, false},
		{[]string{"Host"}, false},
		{[]string{"Origin"}, false},
		{[]string{"Referer"}, false},
		{[]string{"User-Agent"}, false},
		{[]string{"Connection"}, false},
		{[]string{"Transfer-Encoding"}, false},
		{[]string{"Content-Length"}, false},
		{[]string{"Proxy-Authorization"}, false},
		{[]string{"X-Forwarded-For"}, false},
		{[]string{"Forwarded"}, false},
		{[]string{"Access-Control-Request-Method"}, false},
		{[]string{"Sec-WebSocket-Protocol"}, false},
		{[]string{"Sec-Fetch-Site"}, false},
		{[]string{"Cf-Connecting-Ip"}, false},
		{[]string{"Save-Data"}, false},
		{[]string{"Sentry-Trace"}, false},
		{[]string{"X-Amz-Cf-Id"}, false},
		{[]string{"x_datadog_trace_id"}, false},
		{[]string{"True-Client-IP"}, false},
		{[]string{"X-Original-URL"}, false},
		{[]string{"X_Original_URL"}, false},
		{[]string{"X_Forwarded_For"}, false},
		{[]string{"Accept"}, false},
		{[]string{"Accept-Language"}, false},
		{[]string{"Range"}, false},
		{[]string{"If-None-Match"}, false},
		{[]string{"Content-Type"}, false},
		{[]string{"Date"}, false},
		{[]string{"Traceparent"}, false},
		{[]string{"Idempotency-Key"}, false},
		{[]string{"Acceptance-Token"}, true},
		{[]string{"Secret-Key"}, true},
		{[]string{"Cf"}, true},
		{[]string{"Authorization", "X-API-Key", "TRAILER"}, false},
	} {
		m, err := apikey.New(memstore.New(), &apikey.Options{Headers: tt.headers})
		if err == nil {
			_ = m.Close(t.Context())
		}
		var invalid *apikey.InvalidError
		if tt.good != (err == nil) || err != nil && (!errors.As(err, &invalid) || invalid.Field != "Headers") {
			t.Errorf("New with Headers %q: got %v, want success = %t, or an InvalidError of Headers", tt.headers, err, tt.good)
		}
	}
}

// The middleware reads only the headers in Options.Headers, and Authorization only if it
// is one of them.
func TestOnlyOptedInHeaders(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		headers []string
		good    []string // which of the three headers below may carry a token
	}{
		{nil, []string{"Authorization"}},
		{[]string{"Authorization"}, []string{"Authorization"}},
		{[]string{"x-api-key"}, []string{"X-API-Key"}},
		{[]string{"X-API-Key", "Authorization"}, []string{"Authorization", "X-API-Key"}},
		{[]string{"API-KEY"}, []string{"Api-Key"}},
	} {
		g := newGate(t, apikey.Options{Headers: tt.headers})
		token := create(t, g.Manager, "owner1").Secret.Reveal()
		for name, value := range map[string]string{"Authorization": "Bearer " + token, "X-API-Key": token, "Api-Key": token} {
			want := 401
			if slices.Contains(tt.good, name) {
				want = 200
			}
			if a := g.send(t, lines("GET /", name+": "+value)); a.status != want {
				t.Errorf("Headers %q, token in %s: got status %d, want %d", tt.headers, name, a.status, want)
			}
		}
	}
}

// H-07, C-05, advisories 8 (CVE-2026-56654), 9 (CVE-2026-28699), 10
// (GHSA-57q6-fvp4-pqmm) and 12 (CVE-2021-32701): every route decides by the key's scopes
// alone, with each carrier and after any other requests. The requests come in random
// order, and the cache is warm.
func TestRouteCarrierScopeMatrix(t *testing.T) {
	t.Parallel()
	m := newManager(t, memstore.New(), &apikey.Options{Headers: []string{"Authorization", "X-API-Key", "X-Service-Token"}, MaxKeysPerOwner: -1})
	ok := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write([]byte(apikey.MustPrincipal(r.Context()).Key().Name))
	})
	type route struct {
		pattern, target string
		scopes          []string
	}
	routes := []route{
		{"GET /me", "/me", nil},
		{"GET /reports", "/reports", []string{"reports:read"}},
		{"POST /reports", "/reports", []string{"reports:write"}},
		{"DELETE /reports/{id}", "/reports/7", []string{"reports:write", "reports:read"}},
		{"GET /admin/", "/admin/x/y", []string{"admin"}},
		{"PATCH /v2.users", "/v2.users", []string{"v2.users/edit"}},
	}
	mux := http.NewServeMux()
	for _, r := range routes {
		mux.Handle(r.pattern, m.Require(r.scopes...)(ok))
		// Two more routes have the same policy: one without the middleware, and one behind two
		// middlewares.
		method, path, _ := strings.Cut(r.pattern, " ")
		mux.HandleFunc(method+" /byhand"+path, func(w http.ResponseWriter, req *http.Request) {
			p, err := m.ValidateRequest(req)
			if err == nil && slices.ContainsFunc(r.scopes, func(s string) bool { return !p.Allows(s) }) {
				err = apikey.ErrScope
			}
			if err != nil {
				m.WriteError(w, req, err)
				return
			}
			_, _ = w.Write([]byte(p.Key().Name))
		})
		mux.Handle(method+" /nested"+path, m.Require()(m.Require(r.scopes...)(ok)))
	}
	keys := []struct {
		name   string
		scopes []string
		reach  string // the indexes of the routes that it may call
	}{
		{"none", nil, "0"},
		{"read", []string{"reports:read"}, "01"},
		{"write", []string{"reports:write"}, "02"},
		{"both", []string{"reports:write", "reports:read"}, "0123"},
		{"wildcard", []string{"reports:*"}, "0123"},
		{"all", []string{"*"}, "012345"},
		{"admin", []string{"admin"}, "04"},
		{"near misses", []string{"reports", "reports:", "reports:rea", "reports:readx", "REPORTS:READ", "admin:*", "reports*", "v2.users"}, "0"},
		{"dots", []string{"v2.*"}, "05"},
		{"slashes", []string{"v2.users/*", "reports:*"}, "01235"},
		{"revoked", []string{"*"}, ""},
	}
	tokens := make([]string, len(keys))
	for i, k := range keys {
		issued, err := m.Create(t.Context(), apikey.CreateParams{Owner: "o", Name: k.name, Scopes: k.scopes})
		if err != nil {
			t.Fatal(err)
		}
		tokens[i] = issued.Secret.Reveal()
		if k.reach == "" {
			if _, err := m.Revoke(t.Context(), "o", issued.Key.ID, ""); err != nil {
				t.Fatal(err)
			}
		}
	}
	carriers := []struct{ header, scheme string }{
		{"Authorization", "Bearer "},
		{"Authorization", "bearer  "},
		{"X-Api-Key", ""},
		{"X-Service-Token", ""},
		{"X-Not-Opted-In", ""},
	}
	type cell struct{ route, key, carrier, form int }
	var cells []cell
	for r := range routes {
		for k := range keys {
			for c := range carriers {
				for form := range 3 {
					cells = append(cells, cell{r, k, c, form})
				}
			}
		}
	}
	for range testkit.Trials(3, 30) {
		rand.Shuffle(len(cells), func(i, j int) { cells[i], cells[j] = cells[j], cells[i] })
		for _, c := range cells {
			r, k, carrier := routes[c.route], keys[c.key], carriers[c.carrier]
			want := 403
			switch {
			case carrier.header == "X-Not-Opted-In" || k.reach == "":
				want = 401
			case strings.Contains(k.reach, fmt.Sprint(c.route)):
				want = 200
			}
			method, _, _ := strings.Cut(r.pattern, " ")
			req := httptest.NewRequest(method, [...]string{"", "/byhand", "/nested"}[c.form]+r.target, nil)
			req.Header.Set(carrier.header, carrier.scheme+tokens[c.key])
			w := httptest.NewRecorder()
			mux.ServeHTTP(w, req)
			if w.Code != want || want == 200 && w.Body.String() != k.name {
				t.Fatalf("%s (form %d) with key %q in %s: got %d %q, want %d with each carrier",
					r.pattern, c.form, k.name, carrier.header, w.Code, w.Body, want)
			}
		}
	}
}
