package selfservice_test

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/keyhatch/keyhatch/apikey"
	"github.com/keyhatch/keyhatch/apikey/selfservice"
	"github.com/keyhatch/keyhatch/entitlement"
	"github.com/keyhatch/keyhatch/store/memstore"
)

// A key can be created, read, updated, rotated and revoked through the API.
func TestKeyLifecycle(t *testing.T) {
	t.Parallel()
	p := newPanel(t, memstore.New(), nil, &selfservice.Options{Scopes: []selfservice.Scope{{Name: "reports:read"}}})
	made := decode[keyResponse](t, p.send("ann", "POST", "/api/keys", `{"name": " ci ", "scopes": ["reports:read"], "expires_at": null}`), 201)
	if made.Key.Name != "ci" || made.Key.Status != "active" || made.Key.ExpiresAt != nil || !strings.HasPrefix(made.Token, made.Key.Hint) {
		t.Errorf("got %+v", made)
	}
	principal, err := p.keys.Validate(t.Context(), made.Token)
	if err != nil || principal.Key().Owner != "ann" || !principal.Allows("reports:read") {
		t.Fatalf("new token: got %+v, %v", principal, err)
	}
	path := "/api/keys/" + made.Key.ID
	if got := decode[keyResponse](t, p.send("ann", "GET", path, ""), 200); got.Key.ID != made.Key.ID || got.Token != "" {
		t.Errorf("get: got %+v, want the key without a token", got)
	}
	later := time.Now().Add(time.Hour).UTC().Format(time.RFC3339)
	got := decode[keyResponse](t, p.send("ann", "PATCH", path, `{"name": "other", "disabled": true, "expires_at": "`+later+`"}`), 200)
	if got.Key.Name != "other" || got.Key.Status != "disabled" || got.Key.ExpiresAt == nil || *got.Key.ExpiresAt != later {
		t.Errorf("update: got %+v", got)
	}
	got = decode[keyResponse](t, p.send("ann", "PATCH", path, `{"disabled": false, "expires_at": null}`), 200)
	if got.Key.Name != "other" || got.Key.Status != "active" || got.Key.ExpiresAt != nil {
		t.Errorf("update back: got %+v", got)
	}
	next := decode[keyResponse](t, p.send("ann", "POST", path+"/rotate", `{"grace_seconds": 3600}`), 201)
	if next.Key.Name != "other" || next.Token == "" || next.Token == made.Token || !next.Propagated {
		t.Errorf("rotate: got %+v", next)
	}
	for _, token := range []string{made.Token, next.Token} {
		if _, err := p.keys.Validate(t.Context(), token); err != nil {
			t.Errorf("token in the grace period: %v", err)
		}
	}
	if w := p.send("ann", "POST", "/api/keys/"+next.Key.ID+"/revoke", `{"reason": "leaked"}`); w.Code != 204 || w.Body.Len() > 0 {
		t.Errorf("revoke: got %d %s", w.Code, w.Body)
	}
	if got := decode[keyResponse](t, p.send("ann", "GET", "/api/keys/"+next.Key.ID, ""), 200); got.Key.Status != "revoked" || got.Key.RevokeReason != "leaked" {
		t.Errorf("revoked: got %+v", got)
	}
	if _, err := p.keys.Validate(t.Context(), next.Token); err == nil {
		t.Error("a revoked token was accepted")
	}
}

// H-01: a client that makes the token itself never sends it.
func TestCreateWithDigest(t *testing.T) {
	t.Parallel()
	p := newPanel(t, memstore.New(), &apikey.Options{Prefix: "acme"}, nil)
	token := newToken("acme")
	digest := apikey.DigestOf(token)
	body := fmt.Sprintf(`{"name": "cli", "hint": %q, "digest": %q}`, token[:9], hex.EncodeToString(digest[:]))
	first := decode[keyResponse](t, p.send("ann", "POST", "/api/keys", body, header{"Idempotency-Key", "1"}), 201)
	if first.Token != "" || first.Key.Hint != token[:9] {
		t.Errorf("got %+v, want no token", first)
	}
	if _, err := p.keys.Validate(t.Context(), token); err != nil {
		t.Errorf("token made by the client: %v", err)
	}
	if again := decode[keyResponse](t, p.send("ann", "POST", "/api/keys", body, header{"Idempotency-Key", "1"}), 201); again.Key.ID != first.Key.ID {
		t.Errorf("retry: got %+v, want the same key", again)
	}
	if got := problemCode(t, p.send("bob", "POST", "/api/keys", body)); got != "duplicate_key" {
		t.Errorf("same digest, other owner: got %s, want duplicate_key", got)
	}
}

// newToken returns a token as a client would make it. It comes from another Manager.
func newToken(prefix string) string {
	m, err := apikey.New(memstore.New(), &apikey.Options{Prefix: prefix})
	if err != nil {
		panic(err)
	}
	issued, err := m.Create(ctx, apikey.CreateParams{Owner: "x", Name: "x"})
	if err != nil {
		panic(err)
	}
	return issued.Secret.Reveal()
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	p := newPanel(t, memstore.New(), &apikey.Options{Prefix: "acme"}, &selfservice.Options{Scopes: []selfservice.Scope{{Name: "a"}}})
	mine := p.create(t, "ann", "mine").Key.ID
	digest := strings.Repeat("ab", 32)
	for i, c := range []struct{ name, method, path, body, want string }{
		{"unknown path", "GET", "/api/nothing", "", "not_found"},
		{"unknown key", "GET", "/api/keys/key_x", "", "not_found"},
		{"an impossible id", "GET", "/api/keys/%00%ff", "", "not_found"},
		{"no name", "POST", "/api/keys", `{}`, "invalid_name"},
		{"a long name", "POST", "/api/keys", `{"name": "` + strings.Repeat("x", 65) + `"}`, "invalid_name"},
		{"a name that reorders", "POST", "/api/keys", `{"name": "a\u202eb"}`, "invalid_name"},
		{"an invisible name", "POST", "/api/keys", `{"name": "\u3164"}`, "invalid_name"},
		{"a reason with an invisible character", "POST", "/api/keys/" + mine + "/revoke", `{"reason": "a\u200bb"}`, "invalid_reason"},
		{"a name that is a number", "POST", "/api/keys", `{"name": 7}`, "invalid_request"},
		{"a scope that is not offered", "POST", "/api/keys", `{"name": "x", "scopes": ["admin"]}`, "invalid_scopes"},
		{"every scope", "POST", "/api/keys", `{"name": "x", "scopes": ["*"]}`, "invalid_scopes"},
		{"an expiry in the past", "POST", "/api/keys", `{"name": "x", "expires_at": "2020-01-01T00:00:00Z"}`, "invalid_expires_at"},
		{"the zero expiry", "POST", "/api/keys", `{"name": "x", "expires_at": "0001-01-01T00:00:00Z"}`, "invalid_expires_at"},
		{"a digest alone", "POST", "/api/keys", `{"name": "x", "digest": "` + digest + `"}`, "invalid_hint"},
		{"a hint alone", "POST", "/api/keys", `{"name": "x", "hint": "acme_abcd"}`, "invalid_digest"},
		{"a short digest", "POST", "/api/keys", `{"name": "x", "hint": "acme_abcd", "digest": "ab"}`, "invalid_digest"},
		{"a digest in capitals", "POST", "/api/keys", `{"name": "x", "hint": "acme_abcd", "digest": "` + strings.ToUpper(digest) + `"}`, "invalid_digest"},
		{"a digest of zeros", "POST", "/api/keys", `{"name": "x", "hint": "acme_abcd", "digest": "` + strings.Repeat("0", 64) + `"}`, "invalid_digest"},
		{"another prefix", "POST", "/api/keys", `{"name": "x", "hint": "other_abcd", "digest": "` + digest + `"}`, "invalid_hint"},
		{"a hint that is too long", "POST", "/api/keys", `{"name": "x", "hint": "acme_abcde", "digest": "` + digest + `"}`, "invalid_hint"},
		{"a hint with another character", "POST", "/api/keys", `{"name": "x", "hint": "acme_ab<d", "digest": "` + digest + `"}`, "invalid_hint"},
		{"null", "POST", "/api/keys", `null`, "invalid_request"},
		{"an array", "POST", "/api/keys", `[]`, "invalid_request"},
		{"two objects", "POST", "/api/keys", `{"name": "x"}{}`, "invalid_request"},
		{"half an object", "POST", "/api/keys", `{"name": "x"`, "invalid_request"},
		{"not UTF-8", "POST", "/api/keys", "{\"name\": \"\xff\"}", "invalid_request"},
		{"metadata", "POST", "/api/keys", `{"name": "x", "metadata": {}}`, "invalid_request"},
		{"a long body", "POST", "/api/keys", `{"name": "x"` + strings.Repeat(" ", 16<<10) + `}`, "content_too_large"},
		{"nothing to change", "PATCH", "/api/keys/" + mine, `{}`, "invalid_request"},
		{"an update of scopes", "PATCH", "/api/keys/" + mine, `{"scopes": ["a"]}`, "invalid_request"},
		{"an update to the zero expiry", "PATCH", "/api/keys/" + mine, `{"expires_at": "0001-01-01T00:00:00Z"}`, "invalid_expires_at"},
		{"an update of revoked_at", "PATCH", "/api/keys/" + mine, `{"revoked_at": null}`, "invalid_request"},
		{"no grace", "POST", "/api/keys/" + mine + "/rotate", `{}`, "invalid_grace_seconds"},
		{"a negative grace", "POST", "/api/keys/" + mine + "/rotate", `{"grace_seconds": -1}`, "invalid_grace_seconds"},
		{"a grace that overflows", "POST", "/api/keys/" + mine + "/rotate", `{"grace_seconds": 9223372036854775807}`, "invalid_grace_seconds"},
		{"a long reason", "POST", "/api/keys/" + mine + "/revoke", `{"reason": "` + strings.Repeat("x", 256) + `"}`, "invalid_reason"},
		{"a limit of 0", "GET", "/api/keys?limit=0", "", "invalid_request"},
		{"a limit of 101", "GET", "/api/keys?limit=101", "", "invalid_request"},
		{"a limit twice", "GET", "/api/keys?limit=1&limit=2", "", "invalid_request"},
		{"an unknown parameter", "GET", "/api/keys?part=mine", "", "invalid_request"},
		{"a malformed cursor", "GET", "/api/keys?cursor=x", "", "invalid_cursor"},
		{"a broken query", "GET", "/api/keys?%zz", "", "invalid_request"},
		{"a query along with a body", "POST", "/api/keys?name=x", `{"name": "x"}`, "invalid_request"},
	} {
		user := "ann"
		if c.method == "POST" && c.path == "/api/keys" {
			user = fmt.Sprint("user", i) // one owner may try only ten times a minute
		}
		if got := problemCode(t, p.send(user, c.method, c.path, c.body)); got != c.want {
			t.Errorf("%s: got %s, want %s", c.name, got, c.want)
		}
	}
	if page, err := p.keys.List(t.Context(), apikey.ListParams{Owner: "ann"}); err != nil || len(page.Keys) != 1 || page.Keys[0].Name != "mine" {
		t.Errorf("after the refusals: got %+v, %v, want the one key unchanged", page, err)
	}
}

func TestContentTypes(t *testing.T) {
	t.Parallel()
	p := newUnlimitedPanel(t, nil)
	for kind, want := range map[string]int{
		"application/json": 201, "application/json; charset=utf-8": 201, "APPLICATION/JSON": 201,
		"": 415, "text/plain": 415, "application/x-www-form-urlencoded": 415, "multipart/form-data; boundary=x": 415,
		"application/jsonp": 415, "text/plain; application/json": 415, "application/json, text/plain": 415,
	} {
		if w := p.send("ann", "POST", "/api/keys", `{"name": "x"}`, header{"Content-Type", kind}); w.Code != want {
			t.Errorf("%q: got %d, want %d", kind, w.Code, want)
		}
	}
	r := httptest.NewRequest("POST", "/api/keys", strings.NewReader(`{"name": "x"}`))
	r.Header = http.Header{"Sec-Fetch-Site": {"same-origin"}, "X-Session": {"ann"}, "Content-Type": {"application/json", "text/plain"}}
	w := httptest.NewRecorder()
	p.ServeHTTP(w, r)
	if w.Code != 415 {
		t.Errorf("two content types: got %d, want 415", w.Code)
	}
}

func TestMethods(t *testing.T) {
	t.Parallel()
	p := newUnlimitedPanel(t, nil)
	for path, allow := range map[string]string{
		"/": "GET, HEAD, POST", "/panel.css": "GET, HEAD", "/panel.js": "GET, HEAD", "/openapi.json": "GET, HEAD",
		"/api/usage": "GET, HEAD", "/api/keys": "GET, HEAD, POST", "/api/keys/k": "GET, HEAD, PATCH",
		"/api/keys/k/rotate": "POST", "/api/keys/k/revoke": "POST",
	} {
		for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE", "PROPFIND", "get"} {
			w := p.send("ann", method, path, `{}`)
			if allowed := strings.Contains(", "+allow+", ", ", "+method+", "); allowed == (w.Code == 405) || !allowed && w.Header().Get("Allow") != allow {
				t.Errorf("%s %s: got %d, Allow %q, want allowed %v of %q", method, path, w.Code, w.Header().Get("Allow"), allowed, allow)
			}
		}
	}
}

// The API reports what the plan allows, and refuses the rest.
func TestPlans(t *testing.T) {
	t.Parallel()
	plan := entitlement.Entitlement{Plan: "pro", APIAccess: true, MaxKeys: 1, Scopes: []string{"reports:*", "billing:read"}}
	plans := map[string]struct {
		e   entitlement.Entitlement
		err error
	}{"ann": {e: plan}, "bob": {e: entitlement.Entitlement{Plan: "free"}}, "eve": {err: fmt.Errorf("billing is down")}, "new": {err: entitlement.ErrNone}}
	provider := entitlement.ProviderFunc(func(_ ctxType, owner string) (entitlement.Entitlement, error) {
		return plans[owner].e, plans[owner].err
	})
	p := newPanel(t, memstore.New(), &apikey.Options{Entitlements: provider}, nil)
	type usage struct {
		Plan, Refused string
		Entitled      bool
		Used, Over    int
		Limit         *int
		Scopes        []selfservice.Scope
		ClientPrefix  string `json:"client_prefix"`
	}
	got := decode[usage](t, p.send("ann", "GET", "/api/usage", ""), 200)
	if got.Plan != "pro" || !got.Entitled || got.Limit == nil || *got.Limit != 1 || got.Refused != "" || len(got.Scopes) != 1 || got.ClientPrefix != "key" {
		t.Errorf("ann: got %+v", got)
	}
	for scope, want := range map[string]string{"admin": "invalid_scopes", "*": "invalid_scopes", "billing:write": "invalid_scopes", "reports:read": "Created"} {
		if got := problemCode(t, p.send("ann", "POST", "/api/keys", `{"name": "x", "scopes": ["`+scope+`"]}`)); got != want && !(want == "Created" && got == "key_limit_reached") {
			t.Errorf("%s: got %s, want %s", scope, got, want)
		}
	}
	if got := decode[usage](t, p.send("ann", "GET", "/api/usage", ""), 200); got.Used != 1 || got.Refused != "key_limit_reached" {
		t.Errorf("ann with a key: got %+v", got)
	}
	for _, c := range []struct{ user, want string }{{"ann", "key_limit_reached"}, {"bob", "api_access_required"}, {"new", "api_access_required"}, {"eve", "unavailable"}} {
		for _, body := range []string{`{"name": "x"}`, `{"name": "x", "scopes": ["reports:read"]}`} {
			if got := problemCode(t, p.send(c.user, "POST", "/api/keys", body)); got != c.want {
				t.Errorf("%s, %s: got %s, want %s", c.user, body, got, c.want)
			}
		}
	}
	if got := decode[usage](t, p.send("bob", "GET", "/api/usage", ""), 200); got.Entitled || got.Refused != "api_access_required" || len(got.Scopes) != 0 {
		t.Errorf("bob: got %+v", got)
	}
}

// With MACKeys only the service makes tokens: clients learn it from usage, and their
// hints and digests are refused.
func TestServiceMakesTokensWithMACKeys(t *testing.T) {
	t.Parallel()
	p := newPanel(t, memstore.New(), &apikey.Options{MACKeys: [][]byte{[]byte("0123456789abcdefghijklmnopqrstuv")}}, nil)
	if got := decode[map[string]any](t, p.send("ann", "GET", "/api/usage", ""), 200); got["client_prefix"] != nil {
		t.Errorf("client_prefix: got %v, want null", got["client_prefix"])
	}
	body := `{"name": "x", "hint": "key_abcd", "digest": "` + strings.Repeat("ab", 32) + `"}`
	if got := problemCode(t, p.send("ann", "POST", "/api/keys", body)); got != "invalid_request" {
		t.Errorf("a token made by the client: got %s, want invalid_request", got)
	}
	created := decode[keyResponse](t, p.send("ann", "POST", "/api/keys", `{"name": "x"}`), 201)
	if _, err := p.keys.Validate(t.Context(), created.Token); err != nil {
		t.Errorf("the token in the response: got %v, want a valid token", err)
	}
}

// If the plan covers everything and Options.Scopes is nil, customers cannot give a
// key any scope.
func TestNoScopesUnlessOffered(t *testing.T) {
	t.Parallel()
	for _, covered := range [][]string{nil, {"*"}, {"reports:read", "*"}} {
		p := newPanel(t, memstore.New(), &apikey.Options{Entitlements: entitlement.Static(entitlement.Entitlement{APIAccess: true, MaxKeys: -1, Scopes: covered})}, nil)
		for _, scope := range []string{"*", "admin", "keys:write"} {
			if got := problemCode(t, p.send("ann", "POST", "/api/keys", `{"name": "x", "scopes": ["`+scope+`"]}`)); got != "invalid_scopes" {
				t.Errorf("%q, %s: got %s, want invalid_scopes", covered, scope, got)
			}
		}
	}
}

// A retry creates no second key and shows no second token.
func TestIdempotencyKey(t *testing.T) {
	t.Parallel()
	p := newPanel(t, memstore.New(), &apikey.Options{MaxKeysPerOwner: 1}, nil)
	again := header{"Idempotency-Key", `"8e03978e-40d5-43dd-bc93-6894a57f9324"`}
	first := decode[keyResponse](t, p.send("ann", "POST", "/api/keys", `{"name": "ci"}`, again), 201)
	for _, body := range []string{`{"name": "ci"}`, `{"name": "something else"}`} {
		w := p.send("ann", "POST", "/api/keys", body, again)
		var problem struct {
			Code, Token string
			Key         key
		}
		if err := json.Unmarshal(w.Body.Bytes(), &problem); err != nil || w.Code != 409 || problem.Code != "idempotency_key_used" ||
			problem.Key.ID != first.Key.ID || strings.Contains(w.Body.String(), first.Token) || problem.Token != "" {
			t.Errorf("got %d %s, %v, want 409 with the key and no token", w.Code, w.Body, err)
		}
	}
	if got := problemCode(t, p.send("ann", "POST", "/api/keys", `{"name": "ci"}`)); got != "key_limit_reached" {
		t.Errorf("without the header: got %s, want key_limit_reached", got)
	}
	rotated := decode[keyResponse](t, p.send("ann", "POST", "/api/keys/"+first.Key.ID+"/rotate", `{"grace_seconds": 0}`), 201)
	if _, err := p.keys.Validate(t.Context(), rotated.Token); err != nil {
		t.Errorf("token of the rotated key: %v", err)
	}
	for _, bad := range []string{`""`, strings.Repeat("x", 256), "a\tb"} {
		if got := problemCode(t, p.send("bob", "POST", "/api/keys", `{"name": "ci"}`, header{"Idempotency-Key", bad})); got != "invalid_idempotency_key" {
			t.Errorf("%q: got %s", bad, got)
		}
	}
	r := httptest.NewRequest("POST", "/api/keys", strings.NewReader(`{"name": "ci"}`))
	r.Header = http.Header{"Content-Type": {"application/json"}, "Sec-Fetch-Site": {"same-origin"}, "X-Session": {"bob"}, "Idempotency-Key": {"1", "2"}}
	w := httptest.NewRecorder()
	p.ServeHTTP(w, r)
	if got := problemCode(t, w); got != "invalid_idempotency_key" {
		t.Errorf("two keys: got %s, want invalid_idempotency_key, since a proxy may have read the other one", got)
	}
}

// Advisory 29 (CVE-2026-33621): the handler limits creations without any option.
func TestTenCreationsAMinute(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newUnlimitedPanel(t, nil)
		made := func(user string) int {
			n := 0
			for range 15 {
				w := p.send(user, "POST", "/api/keys", `{"name": "x"}`)
				if w.Code == 201 {
					n++
				} else if problemCode(t, w) != "too_many_requests" || w.Header().Get("Retry-After") == "" {
					t.Errorf("got %d %s", w.Code, w.Body)
				}
			}
			return n
		}
		for round, want := range []int{10, 0, 10} {
			if got := made("ann"); got != want {
				t.Errorf("round %d: got %d, want %d", round, got, want)
			}
			time.Sleep(30 * time.Second)
		}
		if got := made("bob"); got != 10 {
			t.Errorf("another owner: got %d, want 10", got)
		}
	})
}

// The pages of a list contain each key once, with every filter.
func TestPaging(t *testing.T) {
	t.Parallel()
	p := newUnlimitedPanel(t, nil)
	for i := range 25 {
		k := p.create(t, "ann", fmt.Sprint(i)).Key
		if i%2 == 0 {
			if _, err := p.keys.Revoke(t.Context(), "ann", k.ID, ""); err != nil {
				t.Fatal(err)
			}
		}
	}
	for filter, want := range map[string]int{"": 25, "&filter=all": 25, "&filter=current": 12, "&filter=ended": 13} {
		var names []string
		for cursor := ""; ; {
			page := decode[struct {
				Keys       []key
				NextCursor *string `json:"next_cursor"`
			}](t, p.send("ann", "GET", "/api/keys?limit=4&cursor="+cursor+filter, ""), 200)
			for _, k := range page.Keys {
				names = append(names, k.Name)
				if revoked := k.Status == "revoked"; filter == "&filter=current" && revoked || filter == "&filter=ended" && !revoked {
					t.Errorf("%s: got the key %+v", filter, k)
				}
			}
			if page.NextCursor == nil {
				break
			}
			cursor = *page.NextCursor
		}
		if len(names) != want {
			t.Errorf("%q: got %v, want %d", filter, names, want)
		}
	}
}

// The handler works under any path, with http.StripPrefix and without.
func TestMounts(t *testing.T) {
	t.Parallel()
	p := newUnlimitedPanel(t, nil)
	id := p.create(t, "ann", "x").Key.ID
	mux := http.NewServeMux()
	mux.Handle("/settings/api-keys/", p)
	mux.Handle("/stripped/", http.StripPrefix("/stripped", p))
	mux.Handle("/bare", http.StripPrefix("/bare", p))
	mux.Handle("/orgs/{org}/keys/", p)
	mux.Handle("/api/keys/", p)
	mux.Handle("/api/", http.StripPrefix("/api", p))
	mux.Handle("GET /v2/{org}/{rest...}", p)
	inner := http.NewServeMux()
	inner.Handle("/settings/", p)
	mux.Handle("/v3/", http.StripPrefix("/v3", inner))
	orgs := http.NewServeMux()
	orgs.Handle("/{org}/", p)
	mux.Handle("/v4/", http.StripPrefix("/v4", orgs))
	projects := http.NewServeMux()
	projects.Handle("/keys/", p)
	mux.HandleFunc("/v5/{org}/", func(w http.ResponseWriter, r *http.Request) {
		http.StripPrefix("/v5/"+r.PathValue("org"), projects).ServeHTTP(w, r)
	})
	teams := http.NewServeMux()
	teams.HandleFunc("/{team}/", func(w http.ResponseWriter, r *http.Request) {
		http.StripPrefix("/"+r.PathValue("team"), p).ServeHTTP(w, r)
	})
	mux.Handle("/v6/", http.StripPrefix("/v6", teams))
	mounted := &panel{p.keys, mux}
	for _, prefix := range []string{"/v4/acme", "/v4/v4", "/v4/a%2Fb", "/v5/acme/keys", "/v5/keys/keys", "/v6/acme", "/v6/api", "/settings/api-keys", "/stripped", "/orgs/7/keys", "/orgs/a%2Fb/keys", "/api/keys", "/api", "/v2/api", "/v3/settings"} {
		for path, want := range map[string]string{"/": "text/html; charset=utf-8", "/panel.js": "text/javascript; charset=utf-8",
			"/openapi.json": "application/json", "/api/keys": "application/json", "/api/keys/" + id: "application/json", "/api/usage": "application/json"} {
			if w := mounted.send("ann", "GET", prefix+path, ""); w.Code != 200 || w.Header().Get("Content-Type") != want {
				t.Errorf("%s%s: got %d %q, want %q", prefix, path, w.Code, w.Header().Get("Content-Type"), want)
			}
		}
	}
	mux.Handle("/doubled/", http.StripPrefix("/doubled/", p))
	if w := mounted.send("ann", "GET", "/doubled/", ""); w.Code != 200 {
		t.Errorf("prefix with the slash: got %d to %q", w.Code, w.Header().Get("Location"))
	}
	for _, path := range []string{"/settings/api-keys/x/api/keys", "/stripped/x/api/keys", "/orgs/7/keys/x/panel.js", "/stripped/api/keys/",
		"/stripped/api/keys/" + id + "/", "/stripped/api/keys/" + id + "/x", "/api/keys/x/", "/v4/acme/x/api/keys", "/v5/keys/keys/x/api/keys", "/v6/acme/x/api/keys"} {
		if got := problemCode(t, mounted.send("ann", "GET", path, "")); got != "not_found" {
			t.Errorf("%s: got %s, want not_found", path, got)
		}
	}
	deep := http.NewServeMux() // its pattern is shorter than the prefix
	deep.Handle("/api/", http.StripPrefix("/api/admin", p))
	if w := (&panel{p.keys, deep}).send("ann", "GET", "/api/admin/api/keys", ""); w.Code != 200 {
		t.Errorf("prefix that is longer than the pattern: got %d, want 200", w.Code)
	}
	for _, path := range []string{"/x/api/keys", "/api//keys", "//api/keys", "/api/../api/keys", "/panel.js/", "/x/",
		"/api%2Fkeys", "/api/keys/" + id + "%2Frevoke", "/api/keys/.", "/api/keys/..", "/api/keys//rotate"} {
		if got := problemCode(t, p.send("ann", "GET", path, "")); got != "not_found" {
			t.Errorf("%s without a mux: got %s, want not_found", path, got)
		}
	}
	for _, path := range []string{"/settings/api-keys", "/bare"} { // signed out too, so that the page can offer to sign in
		if w := mounted.send("", "GET", path, ""); w.Code != 307 {
			t.Errorf("%s of a visitor who is signed out: got %d, want a redirect to the slash", path, w.Code)
		}
	}
	if w := mounted.send("ann", "GET", "/bare?current=x", ""); w.Code != 307 || w.Header().Get("Location") != "./bare/?current=x" {
		t.Errorf("page without a slash: got %d to %q", w.Code, w.Header().Get("Location"))
	}
}

// The handler works if the host has set GODEBUG so that each http.ServeMux treats
// patterns as before Go 1.22. The setting is read when a process starts.
func TestOldMux(t *testing.T) {
	t.Parallel()
	if !strings.Contains(os.Getenv("GODEBUG"), "httpmuxgo121=1") {
		p := exec.Command(os.Args[0], "-test.run=^TestOldMux$")
		p.Env = append(os.Environ(), "GODEBUG=httpmuxgo121=1")
		if out, err := p.CombinedOutput(); err != nil {
			t.Errorf("%v: %s", err, out)
		}
		return
	}
	p := newUnlimitedPanel(t, nil)
	mux := http.NewServeMux()
	mux.Handle("/keys/", http.StripPrefix("/keys", p))
	for path, want := range map[string]int{"/keys/": 200, "/keys/api/usage": 200, "/keys/api/keys/x": 404, "/keys/api/keys/x/rotate": 405} {
		if w := (&panel{p.keys, mux}).send("ann", "GET", path, ""); w.Code != want {
			t.Errorf("%s: got %d, want %d", path, w.Code, want)
		}
	}
}

// The owner function gets the request as the host's mux has matched it.
func TestOwnerFunctionGetsHostRequest(t *testing.T) {
	t.Parallel()
	p := newUnlimitedPanel(t, nil)
	id := p.create(t, "ann", "x").Key.ID
	owner := func(r *http.Request) (string, error) {
		if r.Pattern != "/users/{id}/keys/" || !strings.HasPrefix(r.URL.Path, "/users/ann/keys/") {
			t.Errorf("got the pattern %q and the path %q", r.Pattern, r.URL.Path)
		}
		return r.PathValue("id"), nil
	}
	mux := http.NewServeMux()
	mux.Handle("/users/{id}/keys/", selfservice.New(p.keys, owner, nil))
	mounted := &panel{p.keys, mux}
	if got := decode[keyResponse](t, mounted.send("", "GET", "/users/ann/keys/api/keys/"+id, ""), 200); got.Key.ID != id {
		t.Errorf("got %+v, want the key %s", got, id)
	}
}

// The detail of an invalid body names the field and the expected value.
func TestDetailOfInvalidBody(t *testing.T) {
	t.Parallel()
	p := newUnlimitedPanel(t, nil)
	path := "/api/keys/" + p.create(t, "ann", "x").Key.ID
	for _, tt := range []struct{ method, path, body, want string }{
		{"POST", "/api/keys", `{"name": 7}`, "name must be a string"},
		{"POST", "/api/keys", `{"name": "x", "scopes": "a"}`, "scopes must be a list"},
		{"POST", "/api/keys", `{"name": "x", "hint": 7}`, "hint must be a string"},
		{"POST", "/api/keys", `{"name": "x", "digest": []}`, "digest must be a string"},
		{"POST", "/api/keys", `{"name": "x", "expires_at": "tomorrow"}`, "expires_at must be a time in RFC 3339, such as 2027-01-31T00:00:00Z"},
		{"POST", "/api/keys", `{"name": "x", "expires_at": 7}`, "expires_at must be a time in RFC 3339, such as 2027-01-31T00:00:00Z"},
		{"POST", "/api/keys", `{"name": "x", "owner": "bob"}`, "unknown field owner"},
		{"POST", "/api/keys", `{"name": "x"`, "the JSON is incomplete"},
		{"POST", "/api/keys", `{"name": ""}`, "name must not be empty"},
		{"PATCH", path, `{"disabled": 1}`, "disabled must be true or false"},
		{"PATCH", path, `{"expires_at": 7}`, "expires_at must be a time in the future in RFC 3339, or null"},
		{"POST", path + "/rotate", `{}`, "grace_seconds is required and must be between 0 and 604800"},
		{"POST", path + "/rotate", `{"grace_seconds": 1.5}`, "grace_seconds must be a whole number"},
		{"POST", path + "/revoke", `{"reason": 7}`, "reason must be a string"},
	} {
		var problem struct{ Detail string }
		w := p.send("ann", tt.method, tt.path, tt.body)
		if err := json.Unmarshal(w.Body.Bytes(), &problem); err != nil || problem.Detail != tt.want {
			t.Errorf("%s: got the detail %q, %v, want %q", tt.body, problem.Detail, err, tt.want)
		}
	}
}

func TestNewPanics(t *testing.T) {
	t.Parallel()
	keys := newUnlimitedPanel(t, nil).keys
	for name, f := range map[string]func(){
		"nil Manager": func() { selfservice.New(nil, session, nil) },
		"bad scope": func() {
			selfservice.New(keys, session, &selfservice.Options{Scopes: []selfservice.Scope{{Name: "a b"}}})
		},
		"bad key scope": func() { selfservice.New(keys, session, &selfservice.Options{KeyScope: "a b"}) },
		"bad language":  func() { selfservice.New(keys, session, &selfservice.Options{Lang: "de_DE"}) },
		"foreign logo":  func() { selfservice.New(keys, session, &selfservice.Options{Logo: "https://cdn.example/logo.svg"}) },
		"foreign style": func() { selfservice.New(keys, session, &selfservice.Options{Stylesheet: "//cdn.example/style.css"}) },
		"unknown text":  func() { selfservice.New(keys, session, &selfservice.Options{Texts: map[string]string{"nope": ""}}) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: New did not panic", name)
				}
			}()
			f()
		}()
	}
}
