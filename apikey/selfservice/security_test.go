package selfservice_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/keyhatch/keyhatch/apikey"
	"github.com/keyhatch/keyhatch/apikey/selfservice"
	"github.com/keyhatch/keyhatch/entitlement"
	"github.com/keyhatch/keyhatch/internal/testkit"
	"github.com/keyhatch/keyhatch/store"
	"github.com/keyhatch/keyhatch/store/memstore"
)

// requestsFor returns a request for each method and path of the API and the page.
func requestsFor(id string) []struct{ method, path, body string } {
	return []struct{ method, path, body string }{
		{"GET", "/api/usage", ""},
		{"GET", "/api/keys", ""},
		{"POST", "/api/keys", `{"name": "x"}`},
		{"GET", "/api/keys/" + id, ""},
		{"PATCH", "/api/keys/" + id, `{"name": "taken", "disabled": true, "expires_at": "2100-01-01T00:00:00Z"}`},
		{"POST", "/api/keys/" + id + "/rotate", `{"grace_seconds": 0}`},
		{"POST", "/api/keys/" + id + "/revoke", `{"reason": "taken"}`},
		{"GET", "/", ""},
		{"GET", "/?revoke=" + id, ""},
	}
}

func postRevocation(p *panel, user, id string, more ...header) *httptest.ResponseRecorder {
	more = append([]header{{"Content-Type", "application/x-www-form-urlencoded"}}, more...)
	return p.send(user, "POST", "/", "action=revoke&id="+id+"&reason=x", more...)
}

// M-01: every request for another owner's key gets 404 and leaves the key unchanged.
func TestOtherOwnersKeyIsNotFound(t *testing.T) {
	t.Parallel()
	p := newUnlimitedPanel(t, nil)
	mine := p.create(t, "bob", "bob's")
	before, err := p.keys.Get(t.Context(), "bob", mine.Key.ID)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range requestsFor(mine.Key.ID) {
		w := p.send("ann", r.method, r.path, r.body)
		if strings.Contains(r.path, "/keys/") && problemCode(t, w) != "not_found" {
			t.Errorf("%s %s: got %d %s, want not_found", r.method, r.path, w.Code, w.Body)
		}
		if body := w.Body.String(); strings.Contains(body, "bob's") || strings.Contains(body, "bob&#39;s") || strings.Contains(body, mine.Key.Hint) {
			t.Errorf("%s %s: the response has data of another owner's key: %s", r.method, r.path, body)
		}
	}
	if w := postRevocation(p, "ann", mine.Key.ID); w.Code != 404 {
		t.Errorf("form: got %d, want 404", w.Code)
	}
	after, err := p.keys.Get(t.Context(), "bob", mine.Key.ID)
	if err != nil || !reflect.DeepEqual(after, before) {
		t.Errorf("key: got %+v, %v, want it unchanged", after, err)
	}
	if _, err := p.keys.Validate(t.Context(), mine.Secret.Reveal()); err != nil {
		t.Errorf("the key: %v", err)
	}
}

// M-02: no field and no parameter of a request chooses the owner.
func TestRequestCannotChooseOwner(t *testing.T) {
	t.Parallel()
	p := newUnlimitedPanel(t, nil)
	id := p.create(t, "ann", "ann's").Key.ID
	var names []string
	for _, stem := range []string{"owner", "user", "account", "org", "organization", "organisation", "tenant", "customer", "team", "project",
		"created_by", "createdBy", "sub", "uid", "principal", "subject", "key_owner", "on_behalf_of", "impersonate", "as"} {
		names = append(names, stem, strings.ToUpper(stem), stem+"_id", stem+"Id", stem+"ID", stem+"[]", "key."+stem, "$"+stem, " "+stem, stem+"\x00")
	}
	if len(names) != 200 {
		t.Fatalf("got %d names, want 200", len(names))
	}
	for _, name := range names {
		quoted, _ := json.Marshal(name)
		body := fmt.Sprintf(`{"name": "x", "disabled": true, %s: "bob"}`, quoted)
		creation := fmt.Sprintf(`{"name": "x", %s: "bob"}`, quoted)
		query := "?" + strings.ReplaceAll(fmt.Sprintf("%s=bob", strings.ReplaceAll(strings.ReplaceAll(name, " ", "%20"), "\x00", "%00")), "[]", "%5B%5D")
		for _, c := range []struct{ method, path, body string }{
			{"POST", "/api/keys", creation}, {"PATCH", "/api/keys/" + id, body},
			{"POST", "/api/keys" + query, `{"name": "x"}`}, {"GET", "/api/keys" + query, ""}, {"GET", "/api/keys/" + id + query, ""},
			{"GET", "/api/usage" + query, ""}, {"POST", "/api/keys/" + id + "/revoke" + query, `{}`},
		} {
			if w := p.send("ann", c.method, c.path, c.body); w.Code != 400 {
				t.Errorf("%s %s %s: got %d, want 400", c.method, c.path, c.body, w.Code)
			}
		}
	}
	if k, err := p.keys.Get(t.Context(), "ann", id); err != nil || k.Name != "ann's" || k.Status(time.Now()) != apikey.StatusActive {
		t.Errorf("key: got %+v, %v, want it unchanged", k, err)
	}
	for owner, want := range map[string]int{"ann": 1, "bob": 0} {
		if page, err := p.keys.List(t.Context(), apikey.ListParams{Owner: owner}); err != nil || len(page.Keys) != want {
			t.Errorf("keys of %s: got %d, %v, want %d", owner, len(page.Keys), err, want)
		}
	}
}

// M-03: an update changes only the fields that it names.
func TestUpdateChangesOnlyGivenFields(t *testing.T) {
	t.Parallel()
	p := newUnlimitedPanel(t, nil)
	issued, err := p.keys.Create(t.Context(), apikey.CreateParams{Owner: "ann", Name: "a", Scopes: []string{"s"}, Metadata: map[string]string{"m": "1"}, CreatedBy: "staff"})
	if err != nil {
		t.Fatal(err)
	}
	id := issued.Key.ID
	updates := map[string]func(k *apikey.Key, n int) string{
		"name": func(k *apikey.Key, n int) string { k.Name = fmt.Sprint("n", n); return fmt.Sprintf("%q", k.Name) },
		"disabled": func(k *apikey.Key, n int) string {
			k.DisabledAt = time.Time{}
			if n%2 == 0 {
				k.DisabledAt = time.Unix(1, 0) // only whether it is set matters
			}
			return fmt.Sprint(n%2 == 0)
		},
		"expires_at": func(k *apikey.Key, n int) string {
			if n%3 == 0 {
				k.ExpiresAt = time.Time{}
				return "null"
			}
			k.ExpiresAt = time.Date(2100, 1, 1, 0, 0, n, 0, time.UTC)
			return `"` + k.ExpiresAt.Format(time.RFC3339) + `"`
		},
	}
	for n := range 60 {
		want, err := p.keys.Get(t.Context(), "ann", id)
		if err != nil {
			t.Fatal(err)
		}
		var fields []string
		for name, set := range updates {
			if rand.IntN(2) == 0 {
				fields = append(fields, fmt.Sprintf("%q: %s", name, set(&want, n)))
			}
		}
		if len(fields) == 0 {
			continue
		}
		body := "{" + strings.Join(fields, ", ") + "}"
		if w := p.send("ann", "PATCH", "/api/keys/"+id, body); w.Code != 200 {
			t.Fatalf("%s: got %d %s", body, w.Code, w.Body)
		}
		got, err := p.keys.Get(t.Context(), "ann", id)
		if got.DisabledAt.IsZero() != want.DisabledAt.IsZero() {
			t.Fatalf("%s: got DisabledAt %v, want %v", body, got.DisabledAt, want.DisabledAt)
		}
		got.DisabledAt = want.DisabledAt
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("%s: got %+v, %v, want %+v", body, got, err, want)
		}
	}
}

// M-04, advisory 1 (CVE-2025-61928): a request without an owner is refused, and so is
// every request to a handler without an owner function.
func TestRequestWithoutOwnerIsRefused(t *testing.T) {
	t.Parallel()
	p := newUnlimitedPanel(t, nil)
	id := p.create(t, "ann", "x").Key.ID
	handlers := map[string]http.Handler{
		"no function": selfservice.New(p.keys, nil, nil),
		"an error":    selfservice.New(p.keys, func(*http.Request) (string, error) { return "ann", errors.New("expired") }, nil),
		"no owner":    selfservice.New(p.keys, func(*http.Request) (string, error) { return "", nil }, nil),
	}
	for name, h := range handlers {
		p := &panel{p.keys, h}
		for _, r := range requestsFor(id) {
			if w := p.send("ann", r.method, r.path, r.body); w.Code != 401 || strings.Contains(w.Body.String(), id) {
				t.Errorf("%s: %s %s: got %d %s, want 401", name, r.method, r.path, w.Code, w.Body)
			}
		}
		if w := postRevocation(p, "ann", id); w.Code != 401 {
			t.Errorf("%s: form: got %d, want 401", name, w.Code)
		}
	}
	if k, err := p.keys.Get(t.Context(), "ann", id); err != nil || k.Status(time.Now()) != apikey.StatusActive {
		t.Errorf("key: got %+v, %v, want it unchanged", k, err)
	}
	down := &panel{p.keys, selfservice.New(p.keys, func(*http.Request) (string, error) { return "", apikey.ErrUnavailable }, nil)}
	for _, r := range requestsFor(id) {
		if w := down.send("ann", r.method, r.path, r.body); w.Code != 503 || w.Header().Get("Retry-After") == "" {
			t.Errorf("session store is down: %s %s: got %d, want 503 with Retry-After", r.method, r.path, w.Code)
		}
	}
}

// M-05: an API key manages keys only with the KeyScope, and creates no key that
// outlives it.
func TestKeyScope(t *testing.T) {
	t.Parallel()
	p := newUnlimitedPanel(t, nil)
	plain := p.create(t, "ann", "x", "keys:write", "*")
	bearer := header{"Authorization", "Bearer " + plain.Secret.Reveal()}
	for _, r := range requestsFor(plain.Key.ID) {
		for _, user := range []string{"", "ann"} {
			if w := p.send(user, r.method, r.path, r.body, bearer); w.Code != 403 {
				t.Errorf("without a KeyScope: %s %s as %q: got %d, want 403", r.method, r.path, user, w.Code)
			}
		}
	}
	p = newUnlimitedPanel(t, &selfservice.Options{KeyScope: "keys:write", Scopes: []selfservice.Scope{{Name: "a"}, {Name: "b"}, {Name: "keys:write"}}})
	for _, scopes := range [][]string{nil, {"a"}, {"keys:*x"}} {
		k := p.create(t, "ann", "x", scopes...)
		if w := p.send("ann", "GET", "/api/keys", "", header{"Authorization", "Bearer " + k.Secret.Reveal()}); w.Code != 403 {
			t.Errorf("key with the scopes %v: got %d, want 403", scopes, w.Code)
		}
	}
	k := p.create(t, "ann", "x", "keys:write")
	bearer.value = "Bearer " + k.Secret.Reveal()
	if w := p.send("", "GET", "/api/keys", "", bearer); w.Code != 200 {
		t.Errorf("key with the KeyScope: got %d %s, want 200", w.Code, w.Body)
	}
	if w := p.send("bob", "POST", "/api/keys/"+k.Key.ID+"/revoke", `{}`, bearer); w.Code != 204 {
		t.Errorf("key along with another owner's session: got %d %s, want 204", w.Code, w.Body)
	}
	if w := p.send("ann", "GET", "/api/keys", "", bearer); w.Code != 401 || w.Header().Get("WWW-Authenticate") == "" {
		t.Errorf("revoked key: got %d, want 401", w.Code)
	}

	ends := time.Now().Add(time.Hour).UTC().Truncate(time.Second)
	short, err := p.keys.Create(t.Context(), apikey.CreateParams{Owner: "ann", Name: "x", Scopes: []string{"keys:write"}, ExpiresAt: ends})
	if err != nil {
		t.Fatal(err)
	}
	bearer.value = "Bearer " + short.Secret.Reveal()
	for body, want := range map[string]int{
		`{"name": "x"}`: 403,
		fmt.Sprintf(`{"name": "x", "expires_at": %q}`, ends.Add(time.Second).Format(time.RFC3339)): 403,
		fmt.Sprintf(`{"name": "x", "expires_at": %q}`, ends.Format(time.RFC3339)):                  201,
	} {
		if w := p.send("", "POST", "/api/keys", body, bearer); w.Code != want {
			t.Errorf("%s by a key that ends at %v: got %d %s, want %d", body, ends, w.Code, w.Body, want)
		}
	}
}

// M-05: an API key cannot rotate a key with more scopes or a later expiry.
func TestRotationByWeakerKey(t *testing.T) {
	t.Parallel()
	opts := &selfservice.Options{KeyScope: "keys:write", Scopes: []selfservice.Scope{{Name: "a"}, {Name: "keys:write"}}}
	st := &hookedStore{Store: memstore.New()}
	p := newPanel(t, st, &apikey.Options{MaxKeysPerOwner: -1}, opts)
	rotate := func(by, target apikey.Issued) *httptest.ResponseRecorder {
		bearer := header{"Authorization", "Bearer " + by.Secret.Reveal()}
		return p.send("", "POST", "/api/keys/"+target.Key.ID+"/rotate", `{"grace_seconds": 0}`, bearer)
	}
	weaker, target := p.create(t, "ann", "x", "keys:write"), p.create(t, "ann", "x", "keys:write", "a")
	if w := rotate(weaker, target); w.Code != 403 {
		t.Errorf("key with more scopes: got %d %s, want 403", w.Code, w.Body)
	}
	if _, err := p.keys.Validate(t.Context(), target.Secret.Reveal()); err != nil {
		t.Errorf("key after the refused rotation: %v", err)
	}

	// Between the check of the key and its rotation, an update removes its expiry.
	ends, never := time.Now().Add(time.Hour), time.Time{}
	short, err := p.keys.Create(t.Context(), apikey.CreateParams{Owner: "bob", Name: "short", Scopes: []string{"keys:write"}, ExpiresAt: ends})
	if err != nil {
		t.Fatal(err)
	}
	extended, err := p.keys.Create(t.Context(), apikey.CreateParams{Owner: "bob", Name: "extended", ExpiresAt: ends})
	if err != nil {
		t.Fatal(err)
	}
	st.beforeRotate = func(ctx context.Context) error {
		_, err := st.Store.Update(ctx, "bob", extended.Key.ID, store.Change{ExpiresAt: &never, At: time.Now().UTC()})
		return err
	}
	if w := rotate(short, extended); w.Code != 403 {
		t.Errorf("key extended between check and rotation: got %d %s, want 403", w.Code, w.Body)
	}
	page, err := p.keys.List(t.Context(), apikey.ListParams{Owner: "bob", Filter: apikey.FilterCurrent})
	if err != nil || len(page.Keys) != 1 || page.Keys[0].ID != short.Key.ID {
		t.Errorf("current keys after the refusal: got %+v, %v, want only the caller", page.Keys, err)
	}
}

// A hookedStore calls beforeRotate before each rotation.
type hookedStore struct {
	store.Store
	beforeRotate func(ctx context.Context) error
}

func (s *hookedStore) Rotate(ctx context.Context, owner, id string, next store.Record, ends time.Time, limit int) (old, made store.Record, err error) {
	if s.beforeRotate != nil {
		if err := s.beforeRotate(ctx); err != nil {
			return old, made, err
		}
	}
	return s.Store.Rotate(ctx, owner, id, next, ends, limit)
}

// A customer cannot give a key an offered scope that the plan does not cover.
func TestPlanBoundsOfferedScopes(t *testing.T) {
	t.Parallel()
	plan := entitlement.Entitlement{Plan: "basic", APIAccess: true, Scopes: []string{"a"}}
	provider := entitlement.ProviderFunc(func(context.Context, string) (entitlement.Entitlement, error) { return plan, nil })
	p := newPanel(t, memstore.New(), &apikey.Options{Entitlements: provider}, &selfservice.Options{Scopes: []selfservice.Scope{{Name: "a"}, {Name: "b"}}})
	for scope, want := range map[string]int{"a": 201, "b": 400} {
		if w := p.send("ann", "POST", "/api/keys", `{"name": "x", "scopes": ["`+scope+`"]}`); w.Code != want {
			t.Errorf("%s: got %d %s, want %d", scope, w.Code, w.Body, want)
		}
	}
}

// A key of a legacy format is a caller like any other key.
func TestLegacyKeyIsCaller(t *testing.T) {
	t.Parallel()
	for _, scope := range []string{"", "keys:write"} {
		p := newPanel(t, memstore.New(), &apikey.Options{LegacyFormats: []*regexp.Regexp{regexp.MustCompile(`old-[0-9]{32}`)}}, &selfservice.Options{KeyScope: scope})
		token := "old-" + strings.Repeat("7", 32)
		if _, err := p.keys.Register(t.Context(), apikey.RegisterParams{
			CreateParams: apikey.CreateParams{Owner: "bob", Name: "old", Scopes: []string{"keys:write"}},
			Digest:       apikey.DigestOf(token), Hint: "old-7777",
		}); err != nil {
			t.Fatal(err)
		}
		want := 403
		if scope != "" {
			want = 200
		}
		for _, user := range []string{"", "ann"} {
			if w := p.send(user, "GET", "/api/keys", "", header{"Authorization", "Bearer " + token}); w.Code != want || want == 200 && !strings.Contains(w.Body.String(), "old-7777") {
				t.Errorf("KeyScope %q, as %q: got %d %s, want %d", scope, user, w.Code, w.Body, want)
			}
		}
		// A session token in the same header is not a key.
		if w := p.send("ann", "GET", "/api/keys", "", header{"Authorization", "Bearer eyJhbGciOiJub25lIn0.e30."}); w.Code != 200 {
			t.Errorf("session token: got %d, want 200", w.Code)
		}
	}
}

// M-05, advisories 5 (CVE-2022-24842) and 6 (CVE-2024-24747): an API key cannot create,
// rotate or update a key with more scopes or a later expiry than its own.
func TestKeyCannotEscalate(t *testing.T) {
	t.Parallel()
	names := []string{"a", "b", "c:x", "c:y", "c:*", "*"}
	var offered []selfservice.Scope
	for _, n := range append(names, "keys:write") {
		offered = append(offered, selfservice.Scope{Name: n})
	}
	randomScopes := func(rng *rand.Rand) (scopes []string) {
		for _, n := range names {
			if rng.IntN(3) == 0 {
				scopes = append(scopes, n)
			}
		}
		return scopes
	}
	randomExpiry := func(rng *rand.Rand) time.Time {
		if rng.IntN(3) == 0 {
			return time.Time{}
		}
		return time.Now().Add(time.Duration(1+rng.IntN(5)) * time.Hour).Truncate(time.Second).UTC()
	}
	pairs, allowed := testkit.Scale(5_000, 100_000), 0
	rng := rand.New(rand.NewPCG(1, 2))
	for done := 0; done < pairs; {
		// A new panel for each thousand pairs keeps every owner below the write limits.
		p := newPanel(t, memstore.New(), &apikey.Options{MaxKeysPerOwner: -1}, &selfservice.Options{KeyScope: "keys:write", Scopes: offered})
		for owner := range 100 {
			owner := fmt.Sprint("owner", owner)
			own, err := p.keys.Create(t.Context(), apikey.CreateParams{Owner: owner, Name: "own", Scopes: append(randomScopes(rng), "keys:write"), ExpiresAt: randomExpiry(rng)})
			if err != nil {
				t.Fatal(err)
			}
			bearer := header{"Authorization", "Bearer " + own.Secret.Reveal()}
			for range 10 {
				scopes, until := randomScopes(rng), randomExpiry(rng)
				exceeds := slices.ContainsFunc(scopes, func(s string) bool { return !entitlement.Grants(own.Key.Scopes, s) }) ||
					!own.Key.ExpiresAt.IsZero() && (until.IsZero() || until.After(own.Key.ExpiresAt))
				var w *httptest.ResponseRecorder
				switch at := func() any {
					if until.IsZero() {
						return nil
					}
					return until
				}(); done % 3 {
				case 0:
					body, _ := json.Marshal(map[string]any{"name": "x", "scopes": scopes, "expires_at": at})
					w = p.send("", "POST", "/api/keys", string(body), bearer)
				case 1, 2:
					target, err := p.keys.Create(t.Context(), apikey.CreateParams{Owner: owner, Name: "target", Scopes: scopes, ExpiresAt: until})
					if err != nil {
						t.Fatal(err)
					}
					if done%3 == 1 {
						w = p.send("", "POST", "/api/keys/"+target.Key.ID+"/rotate", `{"grace_seconds": 0}`, bearer)
					} else {
						next := randomExpiry(rng)
						exceeds = exceeds || !own.Key.ExpiresAt.IsZero() && (next.IsZero() || next.After(own.Key.ExpiresAt))
						body, _ := json.Marshal(map[string]any{"expires_at": any(nil)})
						if !next.IsZero() {
							body, _ = json.Marshal(map[string]any{"expires_at": next})
						}
						w = p.send("", "PATCH", "/api/keys/"+target.Key.ID, string(body), bearer)
					}
				}
				if exceeds != (w.Code == 403) || !exceeds && w.Code >= 300 {
					t.Fatalf("request for a key with the scopes %v until %v, by a key with the scopes %v until %v: got %d %s, want forbidden = %t", scopes, until, own.Key.Scopes, own.Key.ExpiresAt, w.Code, w.Body, exceeds)
				}
				if !exceeds {
					allowed++
				}
				done++
			}
		}
	}
	if allowed < pairs/20 || allowed > pairs/2 {
		t.Errorf("allowed requests: got %d of %d, want 5 to 50 %%", allowed, pairs)
	}
}

// M-08: a request from another site changes nothing.
func TestCrossOrigin(t *testing.T) {
	t.Parallel()
	p := newUnlimitedPanel(t, nil)
	id := p.create(t, "ann", "x").Key.ID
	n := 0
	for _, site := range []string{"", "same-origin", "same-site", "cross-site", "none", "x"} {
		for _, origin := range []string{"", "http://example.com", "https://evil.example", "null", "http://example.com.evil.example", "http://example.com:8080"} {
			for _, kind := range []string{"application/json", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""} {
				// Without Sec-Fetch-Site, the Origin decides. A request with
				// neither does not come from a browser.
				trusted := site == "same-origin" || site == "none" || site == "" && (origin == "" || origin == "http://example.com")
				for _, r := range append(requestsFor(id), struct{ method, path, body string }{"POST", "/", "action=revoke&id=" + id}) {
					if r.method == "GET" {
						continue
					}
					n++
					w := p.send("ann", r.method, r.path, r.body, header{"Sec-Fetch-Site", site}, header{"Origin", origin}, header{"Content-Type", kind})
					if !trusted && (w.Code != 403 || problemCode(t, w) != "cross_origin") {
						t.Errorf("%s %s, site %q, origin %q, %q: got %d, want 403", r.method, r.path, site, origin, kind, w.Code)
					}
					if h := w.Header(); h.Get("Access-Control-Allow-Origin") != "" || h.Get("Access-Control-Allow-Credentials") != "" {
						t.Errorf("%s %s: got the headers %v, want none of CORS", r.method, r.path, h)
					}
				}
			}
		}
	}
	if n < 800 {
		t.Errorf("cases of the matrix: got %d, want at least 800", n)
	}
	// Browsers without Sec-Fetch-Site send these types across sites without a
	// preflight request. The API refuses them, since they are not JSON.
	p = newUnlimitedPanel(t, nil)
	id = p.create(t, "ann", "x").Key.ID
	for _, kind := range []string{"text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"} {
		for _, r := range requestsFor(id) {
			if w := p.send("ann", r.method, r.path, r.body, header{"Sec-Fetch-Site", ""}, header{"Content-Type", kind}); r.method != "GET" && w.Code != 415 {
				t.Errorf("%s %s as %s: got %d, want 415", r.method, r.path, kind, w.Code)
			}
		}
	}
}

var securityHeaders = map[string]string{
	"Cache-Control": "no-store",
	"Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; " +
		"base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'",
	"Cross-Origin-Opener-Policy":   "same-origin",
	"Cross-Origin-Resource-Policy": "same-origin",
	"Referrer-Policy":              "same-origin",
	"X-Content-Type-Options":       "nosniff",
	"X-Frame-Options":              "DENY",
}

// M-10: all responses have the security headers, including errors.
func TestSecurityHeaders(t *testing.T) {
	t.Parallel()
	p := newUnlimitedPanel(t, nil)
	id := p.create(t, "ann", "x").Key.ID
	statuses := map[int]int{}
	check := func(what string, w *httptest.ResponseRecorder) {
		statuses[w.Code]++
		for name, want := range securityHeaders {
			if got := w.Header()[name]; !slices.Equal(got, []string{want}) {
				t.Errorf("%s: %d: %s: got %q, want %q", what, w.Code, name, got, want)
			}
		}
	}
	paths := []string{"/", "/panel.css", "/panel.js", "/openapi.json", "/nothing", "/api/nothing", "/api/keys", "/api/keys/" + id,
		"/api/keys/nothing", "/api/keys/" + id + "/rotate", "/api/keys/" + id + "/revoke", "/api/usage", "/?revoke=" + id, ""}
	for _, path := range paths {
		for _, method := range []string{"GET", "HEAD", "POST", "PATCH", "DELETE", "OPTIONS"} {
			for _, user := range []string{"ann", ""} {
				for _, body := range []string{"", `{}`, `{"name": "x"}`, `{"grace_seconds": 0}`, strings.Repeat(" ", 20<<10)} {
					for _, site := range []string{"same-origin", "cross-site"} {
						r := httptest.NewRequest(method, "http://example.com/", strings.NewReader(body))
						r.URL.Path, _, _ = strings.Cut(path, "?")
						_, r.URL.RawQuery, _ = strings.Cut(path, "?")
						r.RequestURI = "/mounted" + path
						r.Header = http.Header{"Content-Type": {"application/json"}, "Sec-Fetch-Site": {site}, "X-Session": {user}}
						w := httptest.NewRecorder()
						p.ServeHTTP(w, r)
						check(method+" "+path, w)
					}
				}
			}
		}
	}
	bearer := header{"Authorization", "Bearer " + p.create(t, "ann", "x").Secret.Reveal()}
	check("API key", p.send("", "GET", "/api/keys", "", bearer))
	bearer.value += "x"
	check("malformed API key", p.send("", "GET", "/api/keys", "", bearer))
	for range 11 {
		check("past the write limit", p.send("bob", "POST", "/api/keys", `{"name": "x"}`))
	}
	again := header{"Idempotency-Key", "1"}
	p.send("eve", "POST", "/api/keys", `{"name": "x"}`, again)
	check("retry", p.send("eve", "POST", "/api/keys", `{"name": "x"}`, again))
	for _, status := range []int{200, 201, 204, 307, 400, 401, 403, 404, 405, 409, 413, 429} {
		if statuses[status] == 0 {
			t.Errorf("got no %d among %v", status, statuses)
		}
	}
	broken := newPanel(t, failing{memstore.New()}, nil, nil)
	check("outage", broken.send("ann", "GET", "/api/keys", ""))
	check("outage", broken.send("ann", "GET", "/", ""))
	if statuses[503] != 2 {
		t.Errorf("got %v, want two 503", statuses)
	}
}

// M-11: 100 concurrent revocations of a key all return 204, and one of them takes
// effect. All have begun before the store processes the first.
func TestConcurrentRevocations(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var revoked atomic.Int32
		p := newPanel(t, slowRevocations{memstore.New()}, &apikey.Options{OnEvent: func(_ context.Context, e apikey.Event) {
			if e.Kind == apikey.EventRevoked {
				revoked.Add(1)
			}
		}}, nil)
		id := p.create(t, "ann", "x").Key.ID
		var wg sync.WaitGroup
		times := make([]string, 100)
		for i := range times {
			wg.Go(func() {
				if w := p.send("ann", "POST", "/api/keys/"+id+"/revoke", fmt.Sprintf(`{"reason": "%d"}`, i)); w.Code != 204 {
					t.Errorf("got %d %s, want 204", w.Code, w.Body)
				}
				got := decode[keyResponse](t, p.send("ann", "GET", "/api/keys/"+id, ""), 200)
				if got.Key.RevokedAt != nil {
					times[i] = *got.Key.RevokedAt + got.Key.RevokeReason
				}
			})
		}
		wg.Wait()
		if distinct := slices.Compact(slices.Sorted(slices.Values(times))); len(distinct) != 1 || distinct[0] == "" || revoked.Load() != 1 {
			t.Errorf("got %q and %d events, want one of each", distinct, revoked.Load())
		}
	})
}

// slowRevocations is a store in which each Revoke takes 10 ms.
type slowRevocations struct{ *memstore.Store }

func (s slowRevocations) Revoke(ctx context.Context, owner, id string, at time.Time, reason string) (store.Record, bool, error) {
	time.Sleep(10 * time.Millisecond)
	return s.Store.Revoke(ctx, owner, id, at, reason)
}

// failing is a store whose calls fail.
type failing struct{ *memstore.Store }

var errDown = errors.New("connection refused, password=hunter2")

func (failing) Insert(context.Context, store.Record, int) error { return errDown }
func (failing) Get(context.Context, string, string) (store.Record, error) {
	return store.Record{}, errDown
}
func (failing) List(context.Context, store.Query) (store.Page, error) { return store.Page{}, errDown }
func (failing) Count(context.Context, string, time.Time) (int, error) { return 0, errDown }

// failingWrites is a store whose reads succeed and whose writes fail.
type failingWrites struct{ *memstore.Store }

func (failingWrites) Update(context.Context, string, string, store.Change) (store.Record, error) {
	return store.Record{}, errDown
}
func (failingWrites) Revoke(context.Context, string, string, time.Time, string) (store.Record, bool, error) {
	return store.Record{}, false, errDown
}
func (failingWrites) Rotate(context.Context, string, string, store.Record, time.Time, int) (store.Record, store.Record, error) {
	return store.Record{}, store.Record{}, errDown
}

// M-12: a request that failed never gets a success.
func TestOutageIs503(t *testing.T) {
	t.Parallel()
	st := memstore.New()
	id := newPanel(t, st, nil, nil).create(t, "ann", "x").Key.ID
	for name, p := range map[string]*panel{"failing": newPanel(t, failing{st}, nil, nil), "failing writes": newPanel(t, failingWrites{st}, nil, nil)} {
		for _, r := range append(requestsFor(id), struct{ method, path, body string }{"POST", "/", ""}) {
			if name == "failing writes" && (r.method == "GET" || r.path == "/api/keys") {
				continue
			}
			w := p.send("ann", r.method, r.path, r.body)
			if r.path == "/" && r.method == "POST" {
				w = postRevocation(p, "ann", id)
			}
			if w.Code != 503 || w.Header().Get("Retry-After") == "" || strings.Contains(w.Body.String(), "hunter2") {
				t.Errorf("%s: %s %s: got %d %s, want 503", name, r.method, r.path, w.Code, w.Body)
			}
		}
	}
}

// M-06, advisories 24 (CVE-2026-47768) and 28 (CVE-2026-64859): a token is
// in the body of the response that created it, once, and in no other response.
func TestTokenAppearsOnce(t *testing.T) {
	t.Parallel()
	p := newUnlimitedPanel(t, nil)
	created := p.send("ann", "POST", "/api/keys", `{"name": "x"}`)
	first := decode[keyResponse](t, created, 201)
	rotated := p.send("ann", "POST", "/api/keys/"+first.Key.ID+"/rotate", `{"grace_seconds": 60}`)
	second := decode[keyResponse](t, rotated, 201)
	all := []*httptest.ResponseRecorder{created, rotated}
	for _, k := range []keyResponse{first, second} {
		for _, r := range requestsFor(k.Key.ID) {
			all = append(all, p.send("ann", r.method, r.path, r.body))
		}
	}
	for _, token := range []string{first.Token, second.Token} {
		n := 0
		for _, w := range all {
			n += strings.Count(w.Body.String(), token)
			for name, values := range maps.All(w.Header()) {
				if strings.Contains(strings.Join(values, " "), token[len(token)-30:]) {
					t.Errorf("a token is in the header %s", name)
				}
			}
		}
		if n != 1 {
			t.Errorf("tokens in the bodies: got %d, want 1", n)
		}
	}
}

// The caller is authenticated after the body has arrived. A session or a key that has
// ended by then cannot create a key.
func TestCallerEndsDuringSlowBody(t *testing.T) {
	t.Parallel()
	for _, insideRequire := range []bool{false, true} {
		p := newUnlimitedPanel(t, &selfservice.Options{KeyScope: "keys:write"})
		var h http.Handler = p
		if insideRequire {
			h = p.keys.Require("keys:write")(p)
		}
		var signedOut atomic.Bool
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if signedOut.Load() {
				r.Header.Del("X-Session")
			}
			h.ServeHTTP(w, r)
		}))
		t.Cleanup(server.Close)
		issued := p.create(t, "ann", "stolen", "keys:write")
		body, feed := io.Pipe()
		r, err := http.NewRequestWithContext(t.Context(), "POST", server.URL+"/api/keys", body)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Authorization", "Bearer "+issued.Secret.Reveal())
		status := make(chan int, 1)
		go func() {
			resp, err := http.DefaultClient.Do(r)
			if err != nil {
				status <- 0
				return
			}
			resp.Body.Close()
			status <- resp.StatusCode
		}()
		io.WriteString(feed, `{"name": `)
		time.Sleep(200 * time.Millisecond) // until the handler reads the body
		if _, err := p.keys.Revoke(t.Context(), "ann", issued.Key.ID, "stolen"); err != nil {
			t.Fatal(err)
		}
		io.WriteString(feed, `"kept"}`)
		feed.Close()
		if got := <-status; got != 401 {
			t.Errorf("inside Require = %t: got %d, want 401", insideRequire, got)
		}
	}
}

// A key that only another Manager knows is refused.
func TestPrincipalOfAnotherManager(t *testing.T) {
	t.Parallel()
	p := newUnlimitedPanel(t, &selfservice.Options{KeyScope: "keys:write"})
	other := newUnlimitedPanel(t, nil)
	issued := other.create(t, "ann", "x", "keys:write")
	chained := &panel{p.keys, other.keys.Require("keys:write")(p)}
	for _, user := range []string{"", "ann"} {
		if w := chained.send(user, "POST", "/api/keys", `{"name": "x"}`, header{"Authorization", "Bearer " + issued.Secret.Reveal()}); w.Code != 403 {
			t.Errorf("as %q: got %d %s, want 403", user, w.Code, w.Body)
		}
	}
}

// At most two keys work for each one that the limit allows, and an owner can rotate
// keys at most ten times a minute.
func TestRotationIsBounded(t *testing.T) {
	t.Parallel()
	p := newPanel(t, memstore.New(), &apikey.Options{MaxKeysPerOwner: 1}, nil)
	first := p.create(t, "ann", "x").Key.ID
	second := decode[keyResponse](t, p.send("ann", "POST", "/api/keys/"+first+"/rotate", `{"grace_seconds": 604800}`), 201).Key.ID
	if got := problemCode(t, p.send("ann", "POST", "/api/keys/"+second+"/rotate", `{"grace_seconds": 1}`)); got != "rotation_overlaps" {
		t.Errorf("second rotation with a grace period: got %s, want rotation_overlaps", got)
	}
	if got := problemCode(t, p.send("ann", "POST", "/api/keys/"+second+"/rotate", `{"grace_seconds": 604801}`)); got != "invalid_grace_seconds" {
		t.Errorf("grace period of more than 7 days: got %s, want invalid_grace_seconds", got)
	}
	rotations := 2 // the first rotation, and the refused one, which counts too
	for id := second; ; rotations++ {
		w := p.send("ann", "POST", "/api/keys/"+id+"/rotate", `{"grace_seconds": 0}`)
		if w.Code == 429 {
			break
		}
		id = decode[keyResponse](t, w, 201).Key.ID
	}
	if rotations != 10 {
		t.Errorf("got %d rotations in a minute, want 10", rotations)
	}
	current, err := p.keys.List(t.Context(), apikey.ListParams{Owner: "ann", Filter: apikey.FilterCurrent})
	if err != nil || len(current.Keys) != 2 {
		t.Errorf("got %d current keys, %v, want 2", len(current.Keys), err)
	}
}

// The scopes of a new key are checked even if the plan changes between the check and
// the creation.
func TestScopesAreCheckedAgainstOnePlan(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	plans := entitlement.ProviderFunc(func(context.Context, string) (entitlement.Entitlement, error) {
		if asked.Add(1) == 1 {
			time.Sleep(2 * time.Millisecond) // the plan is then older than NegativeTTL, so it is not cached
			return entitlement.Entitlement{Plan: "free"}, nil
		}
		return entitlement.Entitlement{Plan: "pro", APIAccess: true, MaxKeys: 5, Scopes: []string{"a"}}, nil
	})
	p := newPanel(t, memstore.New(), &apikey.Options{Entitlements: plans, NegativeTTL: time.Millisecond, CacheTTL: time.Millisecond}, nil)
	if got := problemCode(t, p.send("ann", "POST", "/api/keys", `{"name": "x", "scopes": ["*"]}`)); got != "api_access_required" {
		t.Errorf("got %s, want api_access_required", got)
	}
}

// A field name has one spelling and must not be repeated.
func TestRepeatedFieldsAreRefused(t *testing.T) {
	t.Parallel()
	p := newUnlimitedPanel(t, nil)
	for _, body := range []string{
		`{"name": "x", "name": "y"}`, `{"name": "x", "NAME": "y"}`, `{"Name": "x"}`, `{"name": "x", "expires_at": "2099-01-01T00:00:00Z", "EXPIRES_AT": null}`,
		`{"name": "x", "\u017fcopes": []}`, `{"name": "x", "n\u0061me": "y"}`,
	} {
		if got := problemCode(t, p.send("ann", "POST", "/api/keys", body)); got != "invalid_request" {
			t.Errorf("%s: got %s, want invalid_request", body, got)
		}
	}
}

// M-18: a stolen key with the KeyScope does not use up the write limit of its
// owner's session, so that the owner can revoke it.
func TestStolenKeyDoesNotThrottleItsOwner(t *testing.T) {
	t.Parallel()
	p := newPanel(t, memstore.New(), nil, &selfservice.Options{KeyScope: "keys:manage", Scopes: []selfservice.Scope{{Name: "keys:manage"}}})
	stolen := p.create(t, "ann", "stolen", "keys:manage")
	thief := []header{{"Authorization", "Bearer " + stolen.Secret.Reveal()}, {"X-Session", ""}}
	for _, tt := range []struct{ path, body string }{
		{"/api/keys/key_none/revoke", `{}`}, {"/api/keys/key_none/rotate", `{"grace_seconds": 0}`},
	} {
		last := 0
		for range 130 {
			last = p.send("", "POST", tt.path, tt.body, thief...).Code
		}
		if last != 429 {
			t.Errorf("%s by an API key 130 times: got %d, want 429", tt.path, last)
		}
	}
	if w := p.send("ann", "POST", "/api/keys/"+stolen.Key.ID+"/revoke", `{}`); w.Code != 204 {
		t.Errorf("owner revokes the key: got %d, want 204", w.Code)
	}
}

// If the owner has too many concurrent calls, the page is 429 with Retry-After, and
// nothing is logged.
func TestPageOfBusyOwner(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		st := &blockingStore{Store: memstore.New(), release: make(chan struct{})}
		p := newPanel(t, st, nil, &selfservice.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
		var running sync.WaitGroup
		for range 2 + 128 { // two run and 128 wait
			running.Go(func() { _, _ = p.keys.Get(t.Context(), "ann", "key_x") })
		}
		synctest.Wait()
		w := p.send("ann", "GET", "/", "")
		if w.Code != 429 || w.Header().Get("Retry-After") != "1" || log.Len() > 0 {
			t.Errorf("got %d, Retry-After %q and the log %q, want 429, 1 and an empty log", w.Code, w.Header().Get("Retry-After"), log.String())
		}
		close(st.release)
		running.Wait()
	})
}

// A blockingStore blocks each Get until release is closed.
type blockingStore struct {
	store.Store
	release chan struct{}
}

func (s *blockingStore) Get(ctx context.Context, owner, id string) (store.Record, error) {
	<-s.release
	return s.Store.Get(ctx, owner, id)
}

// M-18: every write counts against a write limit of its owner, even if it fails. Past
// the limit, the store is not called. Revocations have a limit of their own. All
// handlers of a Manager share the limits.
func TestEveryWriteCounts(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, method, path, body string
		limit                    int
	}{
		{"create", "POST", "/api/keys", `{"name": "x"}`, 10},
		{"rotate", "POST", "/api/keys/key_x/rotate", `{"grace_seconds": 60}`, 10},
		{"update", "PATCH", "/api/keys/key_x", `{"name": "x"}`, 60},
		{"revoke", "POST", "/api/keys/key_x/revoke", `{}`, 120},
	} {
		st := &refusingStore{Store: memstore.New()}
		p := newPanel(t, st, nil, nil)
		handlers := []*panel{p, {p.keys, selfservice.New(p.keys, session, nil)}}
		refused := 0
		for i := range 299 {
			p, before := handlers[i%2], st.calls.Load()
			if w := p.send("ann", tt.method, tt.path, tt.body); w.Code == 429 {
				if refused++; st.calls.Load() != before || w.Header().Get("Retry-After") == "" {
					t.Errorf("%s past the write limit: got %d store calls and Retry-After %q, want 0 and a value", tt.name, st.calls.Load()-before, w.Header().Get("Retry-After"))
				}
			} else if w.Code < 400 {
				t.Errorf("%s: got %d, want an error, since the store refuses every write", tt.name, w.Code)
			}
		}
		if refused != 299-tt.limit {
			t.Errorf("%s: failing calls with 429: got %d of 299, want %d", tt.name, refused, 299-tt.limit)
		}
		if w := p.send("ann", "POST", "/api/keys/key_x/revoke", `{}`); tt.name != "revoke" && w.Code != 404 {
			t.Errorf("revoke past the write limit of %s: got %d, want 404", tt.name, w.Code)
		}
		if w := p.send("ann", "POST", "/", "action=revoke&id=key_x", header{"Content-Type", "application/x-www-form-urlencoded"}); (w.Code == 429) != (tt.name == "revoke") {
			t.Errorf("revoke on the page past the write limit of %s: got %d", tt.name, w.Code)
		}
		if w := p.send("bob", tt.method, tt.path, tt.body); w.Code == 429 {
			t.Errorf("%s: another owner got 429 too", tt.name)
		}
	}
}

// M-18: creations, registrations and rotations share a write limit.
func TestCreationsShareWriteLimit(t *testing.T) {
	t.Parallel()
	p := newUnlimitedPanel(t, nil)
	id := p.create(t, "ann", "first").Key.ID
	for i := range 12 {
		path, body := "/api/keys", `{"name": "x"}`
		switch i % 3 {
		case 1:
			body = fmt.Sprintf(`{"name": "x", "hint": "key_1234", "digest": "%064x"}`, i)
		case 2:
			path, body = "/api/keys/"+id+"/rotate", `{"grace_seconds": 0}`
		}
		w := p.send("ann", "POST", path, body)
		if want := map[bool]int{true: 201, false: 429}[i < 10]; w.Code != want {
			t.Fatalf("call %d: got %d %s, want %d", i, w.Code, w.Body, want)
		}
		if i%3 == 2 && i < 10 {
			id = decode[keyResponse](t, w, 201).Key.ID
		}
	}
}

// A refusingStore has no keys and refuses new ones.
type refusingStore struct {
	store.Store
	calls atomic.Int64
}

func (s *refusingStore) Insert(context.Context, store.Record, int) error {
	s.calls.Add(1)
	return store.ErrLimit
}

func (s *refusingStore) Get(context.Context, string, string) (store.Record, error) {
	s.calls.Add(1)
	return store.Record{}, store.ErrNotFound
}
