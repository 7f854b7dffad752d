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
	"os"
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
	"github.com/keyhatch/keyhatch/store"
	"github.com/keyhatch/keyhatch/store/memstore"
)

// requests are one for each thing that can be done with a key, or without.
func requests(id string) []struct{ method, path, body string } {
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

func revokeForm(p *panel, user, id string, more ...header) *httptest.ResponseRecorder {
	more = append([]header{{"Content-Type", "application/x-www-form-urlencoded"}}, more...)
	return p.do(user, "POST", "/", "action=revoke&id="+id+"&reason=x", more...)
}

// M-01: another owner's key is not found, whatever is asked of it, and stays as
// it is.
func TestOwnersDoNotMeet(t *testing.T) {
	t.Parallel()
	p := manyKeys(t, nil)
	mine := p.create(t, "bob", "bob's")
	before, err := p.keys.Get(t.Context(), "bob", mine.Key.ID)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range requests(mine.Key.ID) {
		w := p.do("ann", r.method, r.path, r.body)
		if strings.Contains(r.path, "/keys/") && code(t, w) != "not_found" {
			t.Errorf("%s %s: got %d %s, want not_found", r.method, r.path, w.Code, w.Body)
		}
		if body := w.Body.String(); strings.Contains(body, "bob's") || strings.Contains(body, "bob&#39;s") || strings.Contains(body, mine.Key.Hint) {
			t.Errorf("%s %s tells of another owner's key: %s", r.method, r.path, body)
		}
	}
	if w := revokeForm(p, "ann", mine.Key.ID); w.Code != 404 {
		t.Errorf("the form: got %d", w.Code)
	}
	after, err := p.keys.Get(t.Context(), "bob", mine.Key.ID)
	if err != nil || !reflect.DeepEqual(after, before) {
		t.Errorf("got %+v, %v, want it as it was", after, err)
	}
	if _, err := p.keys.Validate(t.Context(), mine.Secret.Reveal()); err != nil {
		t.Errorf("the key: %v", err)
	}
}

// M-02: there is no way to name an owner.
func TestOwnerCannotBeNamed(t *testing.T) {
	t.Parallel()
	p := manyKeys(t, nil)
	id := p.create(t, "ann", "ann's").Key.ID
	var names []string
	for _, stem := range []string{"owner", "user", "account", "org", "organization", "organisation", "tenant", "customer", "team", "project",
		"created_by", "createdBy", "sub", "uid", "principal", "subject", "key_owner", "on_behalf_of", "impersonate", "as"} {
		names = append(names, stem, strings.ToUpper(stem), stem+"_id", stem+"Id", stem+"ID", stem+"[]", "key."+stem, "$"+stem, " "+stem, stem+"\x00")
	}
	if len(names) != 200 {
		t.Fatalf("there are %d names", len(names))
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
			if w := p.do("ann", c.method, c.path, c.body); w.Code != 400 {
				t.Errorf("%s %s %s: got %d, want 400", c.method, c.path, c.body, w.Code)
			}
		}
	}
	if k, err := p.keys.Get(t.Context(), "ann", id); err != nil || k.Name != "ann's" || k.Status(time.Now()) != apikey.StatusActive {
		t.Errorf("got %+v, %v, want it as it was", k, err)
	}
	for owner, want := range map[string]int{"ann": 1, "bob": 0} {
		if page, err := p.keys.List(t.Context(), apikey.ListParams{Owner: owner}); err != nil || len(page.Keys) != want {
			t.Errorf("%s has %d keys, %v, want %d", owner, len(page.Keys), err, want)
		}
	}
}

// M-03: a change reaches the fields that it names, and no other.
func TestChangeOfNamedFields(t *testing.T) {
	t.Parallel()
	p := manyKeys(t, nil)
	issued, err := p.keys.Create(t.Context(), apikey.CreateParams{Owner: "ann", Name: "a", Scopes: []string{"s"}, Metadata: map[string]string{"m": "1"}, CreatedBy: "staff"})
	if err != nil {
		t.Fatal(err)
	}
	id := issued.Key.ID
	parts := map[string]func(k *apikey.Key, n int) string{
		"name": func(k *apikey.Key, n int) string { k.Name = fmt.Sprint("n", n); return fmt.Sprintf("%q", k.Name) },
		"disabled": func(k *apikey.Key, n int) string {
			k.DisabledAt = time.Time{}
			if n%2 == 0 {
				k.DisabledAt = time.Unix(1, 0) // any
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
		for name, set := range parts {
			if rand.IntN(2) == 0 {
				fields = append(fields, fmt.Sprintf("%q: %s", name, set(&want, n)))
			}
		}
		if len(fields) == 0 {
			continue
		}
		body := "{" + strings.Join(fields, ", ") + "}"
		if w := p.do("ann", "PATCH", "/api/keys/"+id, body); w.Code != 200 {
			t.Fatalf("%s: got %d %s", body, w.Code, w.Body)
		}
		got, err := p.keys.Get(t.Context(), "ann", id)
		if got.DisabledAt.IsZero() != want.DisabledAt.IsZero() {
			t.Fatalf("%s: disabled since %v", body, got.DisabledAt)
		}
		got.DisabledAt = want.DisabledAt
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("%s: got %+v, %v, want %+v", body, got, err, want)
		}
	}
}

// M-04, advisory 1 (CVE-2025-61928): without an owner nothing can be done, and a handler that was given no
// way to find one lets nobody in.
func TestNobodyIsLetIn(t *testing.T) {
	t.Parallel()
	p := manyKeys(t, nil)
	id := p.create(t, "ann", "x").Key.ID
	handlers := map[string]http.Handler{
		"no owner func": selfservice.New(p.keys, nil, nil),
		"an error":      selfservice.New(p.keys, func(*http.Request) (string, error) { return "ann", errors.New("expired") }, nil),
		"no name":       selfservice.New(p.keys, func(*http.Request) (string, error) { return "", nil }, nil),
	}
	for name, h := range handlers {
		out := &panel{p.keys, h}
		for _, r := range requests(id) {
			if w := out.do("ann", r.method, r.path, r.body); w.Code != 401 || strings.Contains(w.Body.String(), id) {
				t.Errorf("%s: %s %s: got %d %s", name, r.method, r.path, w.Code, w.Body)
			}
		}
		if w := revokeForm(out, "ann", id); w.Code != 401 {
			t.Errorf("%s: the form: got %d", name, w.Code)
		}
	}
	if k, err := p.keys.Get(t.Context(), "ann", id); err != nil || k.Status(time.Now()) != apikey.StatusActive {
		t.Errorf("got %+v, %v, want it as it was", k, err)
	}
	down := &panel{p.keys, selfservice.New(p.keys, func(*http.Request) (string, error) { return "", apikey.ErrUnavailable }, nil)}
	for _, r := range requests(id) {
		if w := down.do("ann", r.method, r.path, r.body); w.Code != 503 || w.Header().Get("Retry-After") == "" {
			t.Errorf("sessions are down: %s %s: got %d", r.method, r.path, w.Code)
		}
	}
}

// M-05: an API key manages keys only where that is enabled, and comes to nothing
// that it may not do itself.
func TestKeysManageNoMoreThanThemselves(t *testing.T) {
	t.Parallel()
	p := manyKeys(t, nil)
	plain := p.create(t, "ann", "x", "keys:write", "*")
	bearer := header{"Authorization", "Bearer " + plain.Secret.Reveal()}
	for _, r := range requests(plain.Key.ID) {
		for _, user := range []string{"", "ann"} {
			if w := p.do(user, r.method, r.path, r.body, bearer); w.Code != 403 {
				t.Errorf("not enabled: %s %s as %q: got %d, want 403", r.method, r.path, user, w.Code)
			}
		}
	}
	p = manyKeys(t, &selfservice.Options{KeyScope: "keys:write", Scopes: []selfservice.Scope{{Name: "a"}, {Name: "b"}, {Name: "keys:write"}}})
	for _, scopes := range [][]string{nil, {"a"}, {"keys:*x"}} {
		k := p.create(t, "ann", "x", scopes...)
		if w := p.do("ann", "GET", "/api/keys", "", header{"Authorization", "Bearer " + k.Secret.Reveal()}); w.Code != 403 {
			t.Errorf("%v: got %d, want 403", scopes, w.Code)
		}
	}
	k := p.create(t, "ann", "x", "keys:write")
	bearer.value = "Bearer " + k.Secret.Reveal()
	if w := p.do("", "GET", "/api/keys", "", bearer); w.Code != 200 {
		t.Errorf("enabled: got %d %s", w.Code, w.Body)
	}
	if w := p.do("bob", "POST", "/api/keys/"+k.Key.ID+"/revoke", `{}`, bearer); w.Code != 204 {
		t.Errorf("the key goes before the session: got %d %s", w.Code, w.Body)
	}
	if w := p.do("ann", "GET", "/api/keys", "", bearer); w.Code != 401 || w.Header().Get("WWW-Authenticate") == "" {
		t.Errorf("a revoked key: got %d, want 401", w.Code)
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
		if w := p.do("", "POST", "/api/keys", body, bearer); w.Code != want {
			t.Errorf("%s by a key that ends at %v: got %d %s, want %d", body, ends, w.Code, w.Body, want)
		}
	}
}

// M-05: a key is not rotated by one that may do less.
func TestRotationByALesserKey(t *testing.T) {
	t.Parallel()
	opts := &selfservice.Options{KeyScope: "keys:write", Scopes: []selfservice.Scope{{Name: "a"}, {Name: "keys:write"}}}
	st := &hookedStore{Store: memstore.New()}
	p := newPanel(t, st, &apikey.Options{MaxKeysPerOwner: -1}, opts)
	rotate := func(by, target apikey.Issued) *httptest.ResponseRecorder {
		bearer := header{"Authorization", "Bearer " + by.Secret.Reveal()}
		return p.do("", "POST", "/api/keys/"+target.Key.ID+"/rotate", `{"grace_seconds": 0}`, bearer)
	}
	lesser, target := p.create(t, "ann", "x", "keys:write"), p.create(t, "ann", "x", "keys:write", "a")
	if w := rotate(lesser, target); w.Code != 403 {
		t.Errorf("a key with more scopes: got %d %s, want 403", w.Code, w.Body)
	}
	if _, err := p.keys.Validate(t.Context(), target.Secret.Reveal()); err != nil {
		t.Errorf("the key that was not to be rotated: %v", err)
	}

	// Between the look at a key and its rotation, somebody lets it live for ever.
	ends, never := time.Now().Add(time.Hour), time.Time{}
	short, err := p.keys.Create(t.Context(), apikey.CreateParams{Owner: "bob", Name: "short", Scopes: []string{"keys:write"}, ExpiresAt: ends})
	if err != nil {
		t.Fatal(err)
	}
	widened, err := p.keys.Create(t.Context(), apikey.CreateParams{Owner: "bob", Name: "widened", ExpiresAt: ends})
	if err != nil {
		t.Fatal(err)
	}
	st.beforeRotate = func(ctx context.Context) error {
		_, err := st.Store.Update(ctx, "bob", widened.Key.ID, store.Change{ExpiresAt: &never, At: time.Now().UTC()})
		return err
	}
	if w := rotate(short, widened); w.Code != 403 {
		t.Errorf("a key that was prolonged meanwhile: got %d %s, want 403", w.Code, w.Body)
	}
	page, err := p.keys.List(t.Context(), apikey.ListParams{Owner: "bob", Filter: apikey.FilterCurrent})
	if err != nil || len(page.Keys) != 1 || page.Keys[0].ID != short.Key.ID {
		t.Errorf("afterwards: got %+v, %v, want the short key alone", page.Keys, err)
	}
}

// A hookedStore lets something happen just before a rotation.
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

// A scope that the host offers is not given to a key if the owner's plan does not
// cover it.
func TestOfferedScopesThatThePlanDoesNotCover(t *testing.T) {
	t.Parallel()
	plan := entitlement.Entitlement{Plan: "basic", APIAccess: true, Scopes: []string{"a"}}
	provider := entitlement.ProviderFunc(func(context.Context, string) (entitlement.Entitlement, error) { return plan, nil })
	p := newPanel(t, memstore.New(), &apikey.Options{Entitlements: provider}, &selfservice.Options{Scopes: []selfservice.Scope{{Name: "a"}, {Name: "b"}}})
	for scope, want := range map[string]int{"a": 201, "b": 400} {
		if w := p.do("ann", "POST", "/api/keys", `{"name": "x", "scopes": ["`+scope+`"]}`); w.Code != want {
			t.Errorf("%s: got %d %s, want %d", scope, w.Code, w.Body, want)
		}
	}
}

// Keys of an earlier system are keys, too.
func TestLegacyKeysAreKeys(t *testing.T) {
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
			if w := p.do(user, "GET", "/api/keys", "", header{"Authorization", "Bearer " + token}); w.Code != want || want == 200 && !strings.Contains(w.Body.String(), "old-7777") {
				t.Errorf("KeyScope %q, as %q: got %d %s, want %d", scope, user, w.Code, w.Body, want)
			}
		}
		// What is in that header for the session is no key.
		if w := p.do("ann", "GET", "/api/keys", "", header{"Authorization", "Bearer eyJhbGciOiJub25lIn0.e30."}); w.Code != 200 {
			t.Errorf("a session's own token: got %d", w.Code)
		}
	}
}

// M-05, advisories 5 (CVE-2022-24842) and 6 (CVE-2024-24747): a key creates and
// changes no key that has more scopes than itself or outlives it.
func TestKeysEscalateNowhere(t *testing.T) {
	t.Parallel()
	names := []string{"a", "b", "c:x", "c:y", "c:*", "*"}
	var offered []selfservice.Scope
	for _, n := range append(names, "keys:write") {
		offered = append(offered, selfservice.Scope{Name: n})
	}
	some := func(rng *rand.Rand) (scopes []string) {
		for _, n := range names {
			if rng.IntN(3) == 0 {
				scopes = append(scopes, n)
			}
		}
		return scopes
	}
	expiry := func(rng *rand.Rand) time.Time {
		if rng.IntN(3) == 0 {
			return time.Time{}
		}
		return time.Now().Add(time.Duration(1+rng.IntN(5)) * time.Hour).Truncate(time.Second).UTC()
	}
	pairs, allowed := 5000, 0
	if os.Getenv("KEYHATCH_SOAK") != "" {
		pairs = 100_000
	}
	rng := rand.New(rand.NewPCG(1, 2))
	for done := 0; done < pairs; {
		// A panel for every thousand, each owner with quota to spare.
		p := newPanel(t, memstore.New(), &apikey.Options{MaxKeysPerOwner: -1}, &selfservice.Options{KeyScope: "keys:write", Scopes: offered})
		for owner := range 100 {
			who := fmt.Sprint("o", owner)
			own, err := p.keys.Create(t.Context(), apikey.CreateParams{Owner: who, Name: "own", Scopes: append(some(rng), "keys:write"), ExpiresAt: expiry(rng)})
			if err != nil {
				t.Fatal(err)
			}
			bearer := header{"Authorization", "Bearer " + own.Secret.Reveal()}
			for range 10 {
				scopes, until := some(rng), expiry(rng)
				more := slices.ContainsFunc(scopes, func(s string) bool { return !entitlement.Grants(own.Key.Scopes, s) }) ||
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
					w = p.do("", "POST", "/api/keys", string(body), bearer)
				case 1, 2:
					target, err := p.keys.Create(t.Context(), apikey.CreateParams{Owner: who, Name: "target", Scopes: scopes, ExpiresAt: until})
					if err != nil {
						t.Fatal(err)
					}
					if done%3 == 1 {
						w = p.do("", "POST", "/api/keys/"+target.Key.ID+"/rotate", `{"grace_seconds": 0}`, bearer)
					} else {
						next := expiry(rng)
						more = more || !own.Key.ExpiresAt.IsZero() && (next.IsZero() || next.After(own.Key.ExpiresAt))
						body, _ := json.Marshal(map[string]any{"expires_at": any(nil)})
						if !next.IsZero() {
							body, _ = json.Marshal(map[string]any{"expires_at": next})
						}
						w = p.do("", "PATCH", "/api/keys/"+target.Key.ID, string(body), bearer)
					}
				}
				if more != (w.Code == 403) || !more && w.Code >= 300 {
					t.Fatalf("%v until %v, by %v until %v: got %d %s, want forbidden %v", scopes, until, own.Key.Scopes, own.Key.ExpiresAt, w.Code, w.Body, more)
				}
				if !more {
					allowed++
				}
				done++
			}
		}
	}
	if allowed < pairs/20 || allowed > pairs/2 {
		t.Errorf("%d of %d were allowed, which shows little", allowed, pairs)
	}
}

// M-08: whatever comes from another site changes nothing.
func TestCrossOrigin(t *testing.T) {
	t.Parallel()
	p := manyKeys(t, nil)
	id := p.create(t, "ann", "x").Key.ID
	n := 0
	for _, site := range []string{"", "same-origin", "same-site", "cross-site", "none", "x"} {
		for _, origin := range []string{"", "http://example.com", "https://evil.example", "null", "http://example.com.evil.example", "http://example.com:8080"} {
			for _, kind := range []string{"application/json", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""} {
				// What a browser says of itself, or, where it says nothing, the
				// origin; none of both is no browser.
				trusted := site == "same-origin" || site == "none" || site == "" && (origin == "" || origin == "http://example.com")
				for _, r := range append(requests(id), struct{ method, path, body string }{"POST", "/", "action=revoke&id=" + id}) {
					if r.method == "GET" {
						continue
					}
					n++
					w := p.do("ann", r.method, r.path, r.body, header{"Sec-Fetch-Site", site}, header{"Origin", origin}, header{"Content-Type", kind})
					if !trusted && (w.Code != 403 || code(t, w) != "cross_origin") {
						t.Errorf("%s %s, site %q, origin %q, %q: got %d, want 403", r.method, r.path, site, origin, kind, w.Code)
					}
					if h := w.Header(); h.Get("Access-Control-Allow-Origin") != "" || h.Get("Access-Control-Allow-Credentials") != "" {
						t.Errorf("%s %s: got %v, want no CORS", r.method, r.path, h)
					}
				}
			}
		}
	}
	if n < 800 {
		t.Errorf("the matrix has %d cases", n)
	}
	// What is not said to come from another site, but could be sent from there
	// without being asked about, is no JSON and so has no effect either.
	q := manyKeys(t, nil)
	id = q.create(t, "ann", "x").Key.ID
	for _, kind := range []string{"text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"} {
		for _, r := range requests(id) {
			if w := q.do("ann", r.method, r.path, r.body, header{"Sec-Fetch-Site", ""}, header{"Content-Type", kind}); r.method != "GET" && w.Code != 415 {
				t.Errorf("%s %s as %s: got %d, want 415", r.method, r.path, kind, w.Code)
			}
		}
	}
}

var protections = map[string]string{
	"Cache-Control": "no-store",
	"Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; " +
		"base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'",
	"Cross-Origin-Opener-Policy":   "same-origin",
	"Cross-Origin-Resource-Policy": "same-origin",
	"Referrer-Policy":              "same-origin",
	"X-Content-Type-Options":       "nosniff",
	"X-Frame-Options":              "DENY",
}

// M-10: all responses have the headers, those that refuse too.
func TestHeaders(t *testing.T) {
	t.Parallel()
	p := manyKeys(t, nil)
	id := p.create(t, "ann", "x").Key.ID
	statuses := map[int]int{}
	check := func(what string, w *httptest.ResponseRecorder) {
		statuses[w.Code]++
		for name, want := range protections {
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
	check("a key", p.do("", "GET", "/api/keys", "", bearer))
	bearer.value += "x"
	check("no key", p.do("", "GET", "/api/keys", "", bearer))
	for range 11 {
		check("one too many", p.do("bob", "POST", "/api/keys", `{"name": "x"}`))
	}
	again := header{"Idempotency-Key", "1"}
	p.do("eve", "POST", "/api/keys", `{"name": "x"}`, again)
	check("once more", p.do("eve", "POST", "/api/keys", `{"name": "x"}`, again))
	for _, status := range []int{200, 201, 204, 307, 400, 401, 403, 404, 405, 409, 413, 429} {
		if statuses[status] == 0 {
			t.Errorf("no response was %d: got %v", status, statuses)
		}
	}
	broken := newPanel(t, failing{memstore.New()}, nil, nil)
	check("an outage", broken.do("ann", "GET", "/api/keys", ""))
	check("an outage", broken.do("ann", "GET", "/", ""))
	if statuses[503] != 2 {
		t.Errorf("got %v, want two 503", statuses)
	}
}

// M-11: of 100 revocations of a key at once each returns 204; one did it. All are
// under way when the first has reached the store.
func TestManyRevocations(t *testing.T) {
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
				if w := p.do("ann", "POST", "/api/keys/"+id+"/revoke", fmt.Sprintf(`{"reason": "%d"}`, i)); w.Code != 204 {
					t.Errorf("got %d %s, want 204", w.Code, w.Body)
				}
				got := decode[one](t, p.do("ann", "GET", "/api/keys/"+id, ""), 200)
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

// slowRevocations takes 10 ms for each.
type slowRevocations struct{ *memstore.Store }

func (s slowRevocations) Revoke(ctx context.Context, owner, id string, at time.Time, reason string) (store.Record, bool, error) {
	time.Sleep(10 * time.Millisecond)
	return s.Store.Revoke(ctx, owner, id, at, reason)
}

// failing is a store that cannot be reached.
type failing struct{ *memstore.Store }

var errDown = errors.New("connection refused, password=hunter2")

func (failing) Insert(context.Context, store.Record, int) error { return errDown }
func (failing) Get(context.Context, string, string) (store.Record, error) {
	return store.Record{}, errDown
}
func (failing) List(context.Context, store.Query) (store.Page, error) { return store.Page{}, errDown }
func (failing) Count(context.Context, string, time.Time) (int, error) { return 0, errDown }

// unsure finds keys and cannot change them.
type unsure struct{ *memstore.Store }

func (unsure) Update(context.Context, string, string, store.Change) (store.Record, error) {
	return store.Record{}, errDown
}
func (unsure) Revoke(context.Context, string, string, time.Time, string) (store.Record, bool, error) {
	return store.Record{}, false, errDown
}
func (unsure) Rotate(context.Context, string, string, store.Record, time.Time, int) (store.Record, store.Record, error) {
	return store.Record{}, store.Record{}, errDown
}

// M-12: what was not done is never said to be.
func TestOutagesSurface(t *testing.T) {
	t.Parallel()
	st := memstore.New()
	id := newPanel(t, st, nil, nil).create(t, "ann", "x").Key.ID
	for name, p := range map[string]*panel{"failing": newPanel(t, failing{st}, nil, nil), "unsure": newPanel(t, unsure{st}, nil, nil)} {
		for _, r := range append(requests(id), struct{ method, path, body string }{"POST", "/", ""}) {
			if name == "unsure" && (r.method == "GET" || r.path == "/api/keys") {
				continue
			}
			w := p.do("ann", r.method, r.path, r.body)
			if r.path == "/" && r.method == "POST" {
				w = revokeForm(p, "ann", id)
			}
			if w.Code != 503 || w.Header().Get("Retry-After") == "" || strings.Contains(w.Body.String(), "hunter2") {
				t.Errorf("%s: %s %s: got %d %s, want 503", name, r.method, r.path, w.Code, w.Body)
			}
		}
	}
}

// M-06, advisories 24 (CVE-2026-47768) and 28 (CVE-2026-64859): a token is in
// the body of the response that made it, once, and nowhere else.
func TestTokenIsThereOnce(t *testing.T) {
	t.Parallel()
	p := manyKeys(t, nil)
	made := p.do("ann", "POST", "/api/keys", `{"name": "x"}`)
	first := decode[one](t, made, 201)
	turned := p.do("ann", "POST", "/api/keys/"+first.Key.ID+"/rotate", `{"grace_seconds": 60}`)
	second := decode[one](t, turned, 201)
	all := []*httptest.ResponseRecorder{made, turned}
	for _, k := range []one{first, second} {
		for _, r := range requests(k.Key.ID) {
			all = append(all, p.do("ann", r.method, r.path, r.body))
		}
	}
	for _, token := range []string{first.Token, second.Token} {
		n := 0
		for _, w := range all {
			n += strings.Count(w.Body.String(), token)
			for name, values := range maps.All(w.Header()) {
				if strings.Contains(strings.Join(values, " "), token[len(token)-30:]) {
					t.Errorf("the token is in %s", name)
				}
			}
		}
		if n != 1 {
			t.Errorf("the token is there %d times, want once", n)
		}
	}
}

// What a caller may do is asked for when the body has come, however long that
// takes: neither a session nor a key that has ended by then makes anything.
func TestSlowBodyOfAnEndedCaller(t *testing.T) {
	t.Parallel()
	for _, behind := range []bool{false, true} {
		p := manyKeys(t, &selfservice.Options{KeyScope: "keys:write"})
		var h http.Handler = p
		if behind {
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
		time.Sleep(200 * time.Millisecond) // the handler has begun
		if _, err := p.keys.Revoke(t.Context(), "ann", issued.Key.ID, "stolen"); err != nil {
			t.Fatal(err)
		}
		io.WriteString(feed, `"kept"}`)
		feed.Close()
		if got := <-status; got != 401 {
			t.Errorf("behind Require %v: got %d, want 401", behind, got)
		}
	}
}

// A key that another Manager let in is nobody's here.
func TestPrincipalOfAnotherManager(t *testing.T) {
	t.Parallel()
	p := manyKeys(t, &selfservice.Options{KeyScope: "keys:write"})
	other := manyKeys(t, nil)
	issued := other.create(t, "ann", "x", "keys:write")
	chained := &panel{p.keys, other.keys.Require("keys:write")(p)}
	for _, user := range []string{"", "ann"} {
		if w := chained.do(user, "POST", "/api/keys", `{"name": "x"}`, header{"Authorization", "Bearer " + issued.Secret.Reveal()}); w.Code != 403 {
			t.Errorf("as %q: got %d %s, want 403", user, w.Code, w.Body)
		}
	}
}

// Rotations leave no more than two working keys in each place of the limit, and no
// more than ten are made a minute.
func TestRotationsAreBounded(t *testing.T) {
	t.Parallel()
	p := newPanel(t, memstore.New(), &apikey.Options{MaxKeysPerOwner: 1}, nil)
	first := p.create(t, "ann", "x").Key.ID
	second := decode[one](t, p.do("ann", "POST", "/api/keys/"+first+"/rotate", `{"grace_seconds": 604800}`), 201).Key.ID
	if got := code(t, p.do("ann", "POST", "/api/keys/"+second+"/rotate", `{"grace_seconds": 1}`)); got != "rotation_overlaps" {
		t.Errorf("again: got %s, want rotation_overlaps", got)
	}
	if got := code(t, p.do("ann", "POST", "/api/keys/"+second+"/rotate", `{"grace_seconds": 604801}`)); got != "invalid_grace_seconds" {
		t.Errorf("for longer: got %s", got)
	}
	made := 2 // with the one that was refused
	for id := second; ; made++ {
		w := p.do("ann", "POST", "/api/keys/"+id+"/rotate", `{"grace_seconds": 0}`)
		if w.Code == 429 {
			break
		}
		id = decode[one](t, w, 201).Key.ID
	}
	if made != 10 {
		t.Errorf("%d rotations in a minute, a refused one included, want 10", made)
	}
	live, err := p.keys.List(t.Context(), apikey.ListParams{Owner: "ann", Filter: apikey.FilterCurrent})
	if err != nil || len(live.Keys) != 2 {
		t.Errorf("%d keys work, %v, want 2", len(live.Keys), err)
	}
}

// What the plan is when a key is asked for counts, also when it changes before the
// key is made.
func TestScopesWhileThePlanComes(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	plans := entitlement.ProviderFunc(func(context.Context, string) (entitlement.Entitlement, error) {
		if asked.Add(1) == 1 {
			return entitlement.Entitlement{Plan: "free"}, nil
		}
		return entitlement.Entitlement{Plan: "pro", APIAccess: true, MaxKeys: 5, Scopes: []string{"a"}}, nil
	})
	p := newPanel(t, memstore.New(), &apikey.Options{Entitlements: plans, NegativeTTL: time.Nanosecond, CacheTTL: time.Nanosecond}, nil)
	if got := code(t, p.do("ann", "POST", "/api/keys", `{"name": "x", "scopes": ["*"]}`)); got != "api_access_required" {
		t.Errorf("got %s, want api_access_required", got)
	}
}

// A name of a field has one spelling, and comes once.
func TestFieldsAreThereOnce(t *testing.T) {
	t.Parallel()
	p := manyKeys(t, nil)
	for _, body := range []string{
		`{"name": "x", "name": "y"}`, `{"name": "x", "NAME": "y"}`, `{"Name": "x"}`, `{"name": "x", "expires_at": "2099-01-01T00:00:00Z", "EXPIRES_AT": null}`,
		`{"name": "x", "\u017fcopes": []}`, `{"name": "x", "n\u0061me": "y"}`,
	} {
		if got := code(t, p.do("ann", "POST", "/api/keys", body)); got != "invalid_request" {
			t.Errorf("%s: got %s", body, got)
		}
	}
}

// M-18: a stolen key that may manage keys does not use up the quota of its owner on
// the page, and the owner can revoke it.
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
			last = p.do("", "POST", tt.path, tt.body, thief...).Code
		}
		if last != 429 {
			t.Errorf("%s by an API key 130 times: got %d, want 429", tt.path, last)
		}
	}
	if w := p.do("ann", "POST", "/api/keys/"+stolen.Key.ID+"/revoke", `{}`); w.Code != 204 {
		t.Errorf("the owner revokes the key: got %d, want 204", w.Code)
	}
}

// A page that cannot be shown because the owner has too many calls is 429 with
// Retry-After, and no error in the log.
func TestPageOfABusyOwner(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		st := &blockingStore{Store: memstore.New(), release: make(chan struct{})}
		p := newPanel(t, st, nil, &selfservice.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
		var running sync.WaitGroup
		for range 2 + 128 { // two are carried out and 128 wait
			running.Go(func() { _, _ = p.keys.Get(t.Context(), "ann", "key_x") })
		}
		synctest.Wait()
		w := p.do("ann", "GET", "/", "")
		if w.Code != 429 || w.Header().Get("Retry-After") != "1" || log.Len() > 0 {
			t.Errorf("got %d, Retry-After %q and the log %q, want 429, 1 and none", w.Code, w.Header().Get("Retry-After"), log.String())
		}
		close(st.release)
		running.Wait()
	})
}

// A blockingStore holds each Get until release is closed.
type blockingStore struct {
	store.Store
	release chan struct{}
}

func (s *blockingStore) Get(ctx context.Context, owner, id string) (store.Record, error) {
	<-s.release
	return s.Store.Get(ctx, owner, id)
}

// M-18: every write counts against a quota of its owner, also if it fails. Past the
// quota the store is not asked. Revocations have a quota of their own. The handlers
// of a Manager count together.
func TestEveryWriteCounts(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, method, path, body string
		quota                    int
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
			if w := p.do("ann", tt.method, tt.path, tt.body); w.Code == 429 {
				if refused++; st.calls.Load() != before || w.Header().Get("Retry-After") == "" {
					t.Errorf("%s past the quota: %d calls of the store, Retry-After %q", tt.name, st.calls.Load()-before, w.Header().Get("Retry-After"))
				}
			} else if w.Code < 400 {
				t.Errorf("%s: got %d from a store that refuses all", tt.name, w.Code)
			}
		}
		if refused != 299-tt.quota {
			t.Errorf("%s: %d of 299 failing calls refused, want %d", tt.name, refused, 299-tt.quota)
		}
		if w := p.do("ann", "POST", "/api/keys/key_x/revoke", `{}`); tt.name != "revoke" && w.Code != 404 {
			t.Errorf("revoke when the quota to %s is used up: got %d, want 404", tt.name, w.Code)
		}
		if w := p.do("ann", "POST", "/", "action=revoke&id=key_x", header{"Content-Type", "application/x-www-form-urlencoded"}); (w.Code == 429) != (tt.name == "revoke") {
			t.Errorf("revoke on the page when the quota to %s is used up: got %d", tt.name, w.Code)
		}
		if w := p.do("bob", tt.method, tt.path, tt.body); w.Code == 429 {
			t.Errorf("%s: another owner is refused too", tt.name)
		}
	}
}

// M-18: creations, registrations and rotations count together.
func TestCreationsShareAQuota(t *testing.T) {
	t.Parallel()
	p := manyKeys(t, nil)
	id := p.create(t, "ann", "first").Key.ID
	for i := range 12 {
		path, body := "/api/keys", `{"name": "x"}`
		switch i % 3 {
		case 1:
			body = fmt.Sprintf(`{"name": "x", "hint": "key_1234", "digest": "%064x"}`, i)
		case 2:
			path, body = "/api/keys/"+id+"/rotate", `{"grace_seconds": 0}`
		}
		w := p.do("ann", "POST", path, body)
		if want := map[bool]int{true: 201, false: 429}[i < 10]; w.Code != want {
			t.Fatalf("%d: got %d %s, want %d", i, w.Code, w.Body, want)
		}
		if i%3 == 2 && i < 10 {
			id = decode[one](t, w, 201).Key.ID
		}
	}
}

// A refusingStore has no keys and no room for any.
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
