package apikey_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/keyhatch/keyhatch/apikey"
	"github.com/keyhatch/keyhatch/entitlement"
	"github.com/keyhatch/keyhatch/store"
	"github.com/keyhatch/keyhatch/store/memstore"
)

// The responses that Require documents, with sorted header lines and without the Date.
const (
	responseMissing = `HTTP/1.1 401 Unauthorized
Cache-Control: no-store
Connection: close
Content-Length: 81
Content-Type: application/problem+json
Www-Authenticate: Bearer realm="api"

{"type":"about:blank","title":"Unauthorized","status":401,"code":"unauthorized"}
`
	responseInvalid = `HTTP/1.1 401 Unauthorized
Cache-Control: no-store
Connection: close
Content-Length: 81
Content-Type: application/problem+json
Www-Authenticate: Bearer realm="api", error="invalid_token"

{"type":"about:blank","title":"Unauthorized","status":401,"code":"unauthorized"}
`
	responseAmbiguous = `HTTP/1.1 400 Bad Request
Cache-Control: no-store
Connection: close
Content-Length: 83
Content-Type: application/problem+json
Www-Authenticate: Bearer realm="api", error="invalid_request"

{"type":"about:blank","title":"Bad Request","status":400,"code":"invalid_request"}
`
	responseScope = `HTTP/1.1 403 Forbidden
Cache-Control: no-store
Connection: close
Content-Length: 84
Content-Type: application/problem+json
Www-Authenticate: Bearer realm="api", error="insufficient_scope", scope="reports:read"

{"type":"about:blank","title":"Forbidden","status":403,"code":"insufficient_scope"}
`
	responsePlan = `HTTP/1.1 403 Forbidden
Cache-Control: no-store
Connection: close
Content-Length: 85
Content-Type: application/problem+json

{"type":"about:blank","title":"Forbidden","status":403,"code":"api_access_required"}
`
	responseOutage = `HTTP/1.1 503 Service Unavailable
Cache-Control: no-store
Connection: close
Content-Length: 87
Content-Type: application/problem+json
Retry-After: 5

{"type":"about:blank","title":"Service Unavailable","status":503,"code":"unavailable"}
`
	responseInternal = `HTTP/1.1 500 Internal Server Error
Cache-Control: no-store
Connection: close
Content-Length: 92
Content-Type: application/problem+json

{"type":"about:blank","title":"Internal Server Error","status":500,"code":"internal_error"}
`
)

// A refusal is a request that must be refused.
type refusal struct {
	name   string
	gate   *gate
	raw    string
	want   string // the response
	reason apikey.Reason
	// stray means that the token is not in a credential, so that the
	// ErrorHandler's request still has it.
	stray bool
}

// refusals returns every kind of request that GET / refuses. Its scope is reports:read. The secrets
// are the tokens in these requests.
func refusals(t *testing.T, opts apikey.Options) (all []refusal, secrets []string) {
	t.Helper()
	mem := memstore.New()
	issuer := newManager(t, mem, &apikey.Options{MaxKeysPerOwner: -1})
	issue := func(owner string, scopes ...string) apikey.Issued {
		t.Helper()
		i, err := issuer.Create(t.Context(), apikey.CreateParams{Owner: owner, Name: "n", Scopes: scopes})
		if err != nil {
			t.Fatal(err)
		}
		secrets = append(secrets, i.Secret.Reveal())
		return i
	}
	token := func(owner string, scopes ...string) string { return issue(owner, scopes...).Secret.Reveal() }
	good := token("owner1", "reports:read")

	opts.Headers = []string{"Authorization", "X-API-Key"}
	with := func(st store.Store, change func(*apikey.Options)) *gate {
		t.Helper()
		o := opts
		if change != nil {
			change(&o)
		}
		return newGateOver(t, &spyStore{Store: st}, o, "reports:read")
	}
	plain := with(mem, nil)
	add := func(name string, g *gate, want string, reason apikey.Reason, header ...string) {
		all = append(all, refusal{name: name, gate: g, raw: lines("GET /", header...), want: want, reason: reason})
	}
	bearer := func(name string, g *gate, token, want string, reason apikey.Reason) {
		add(name, g, want, reason, "Authorization: Bearer "+token)
		add(name+" in X-API-Key", g, want, reason, "X-API-Key: "+token)
	}
	missing := func(name string, stray bool, header ...string) {
		add(name, plain, responseMissing, apikey.ReasonMissing, header...)
		all[len(all)-1].stray = stray
	}
	malformed := func(name string, token string) {
		bearer(name, plain, token, responseInvalid, apikey.ReasonMalformed)
	}

	missing("nothing", false)
	missing("another scheme", false, "Authorization: Basic "+good)
	missing("no scheme", false, "Authorization: "+good)
	missing("X_API_KEY", true, "X_API_KEY: "+good)
	missing("a header that was not opted in", true, "X-Auth-Token: "+good)
	missing("a cookie", true, "Cookie: Authorization="+good+"; X-API-Key="+good)
	for name, target := range map[string]string{
		"the query": "/?api_key=T&access_token=T&Authorization=Bearer%20T&X-API-Key=T", "the path": "/T/Bearer/T",
		"the address": "http://T:T@test/",
	} {
		all = append(all, refusal{name, plain, lines("GET " + strings.ReplaceAll(target, "T", good)), responseMissing, apikey.ReasonMissing, true})
	}
	form := "access_token=" + good + "&api_key=" + good
	all = append(all, refusal{
		"the body", plain, lines("POST /", "Content-Type: application/x-www-form-urlencoded", fmt.Sprintf("Content-Length: %d", len(form))) + form,
		responseMissing, apikey.ReasonMissing, true,
	}, refusal{
		"the trailer", plain, lines("POST /", "Transfer-Encoding: chunked", "Trailer: Authorization, X-API-Key") +
			"1\r\nx\r\n0\r\nAuthorization: Bearer " + good + "\r\nX-API-Key: " + good + "\r\n\r\n",
		responseMissing, apikey.ReasonMissing, true,
	}, refusal{
		"OPTIONS without Origin", plain, lines("OPTIONS /", "Access-Control-Request-Method: GET"), responseMissing, apikey.ReasonMissing, false,
	}, refusal{
		"OPTIONS without Access-Control-Request-Method", plain, lines("OPTIONS /", "Origin: https://a.example"), responseMissing, apikey.ReasonMissing, false,
	}, refusal{
		"a preflight by GET", plain, lines("GET /", "Origin: https://a.example", "Access-Control-Request-Method: GET"), responseMissing, apikey.ReasonMissing, false,
	})

	malformed("nothing after the name", "")
	malformed("garbage", "garbage")
	malformed("another prefix", "acme"+strings.TrimPrefix(good, "key"))
	malformed("prefix in upper case", "KEY"+strings.TrimPrefix(good, "key"))
	malformed("wrong checksum", good[:len(good)-1]+flip(good[len(good)-1]))
	malformed("wrong random", good[:10]+flip(good[10])+good[11:])
	malformed("cut short", good[:len(good)-1])
	malformed("one too long", good+"0")
	malformed("two joined by a comma", good+","+good)
	malformed("two with a space", good+" "+good)
	malformed("folded", good+"\r\n x")
	malformed("not ASCII", good+"\xff")
	malformed("tab", "k\t"+good)
	malformed("513 bytes", strings.Repeat("a", 513))

	add("Authorization twice", plain, responseAmbiguous, apikey.ReasonAmbiguous, "Authorization: Bearer "+good, "Authorization: Bearer "+good)
	add("Authorization twice, one empty", plain, responseAmbiguous, apikey.ReasonAmbiguous, "Authorization: Bearer "+good, "Authorization:")
	add("X-API-Key twice", plain, responseAmbiguous, apikey.ReasonAmbiguous, "X-API-Key: "+good, "X-API-Key: "+good)
	add("two carriers", plain, responseAmbiguous, apikey.ReasonAmbiguous, "Authorization: Bearer "+good, "X-API-Key: "+good)

	ctx, past := t.Context(), time.Now().UTC().Truncate(time.Microsecond).Add(-time.Hour)
	revoked, rotated, disabled, expired := issue("owner1", "*"), issue("owner1", "*"), issue("owner1", "*"), issue("owner1", "*")
	closed, yes := issue("closed", "*"), true
	_, err1 := issuer.Revoke(ctx, "owner1", revoked.Key.ID, "leaked")
	_, err2 := issuer.Rotate(ctx, "owner1", rotated.Key.ID, 0)
	_, err3 := issuer.Update(ctx, "owner1", disabled.Key.ID, apikey.UpdateParams{Disabled: &yes})
	soon := time.Now().Add(5 * time.Millisecond)
	_, err4 := mem.Update(ctx, "owner1", expired.Key.ID, store.Change{At: soon.Add(-time.Millisecond), ExpiresAt: &soon})
	time.Sleep(time.Until(soon))
	_, err5 := issuer.RevokeAll(ctx, "closed", "account closed")
	if err := errors.Join(err1, err2, err3, err4, err5); err != nil {
		t.Fatal(err)
	}
	unknown := newForger("key", false).forge()
	secrets = append(secrets, unknown)
	bearer("unknown", plain, unknown, responseInvalid, apikey.ReasonUnknown)
	bearer("revoked", plain, revoked.Secret.Reveal(), responseInvalid, apikey.ReasonRevoked)
	bearer("rotated away", plain, rotated.Secret.Reveal(), responseInvalid, apikey.ReasonRevoked)
	bearer("all of the owner's revoked", plain, closed.Secret.Reveal(), responseInvalid, apikey.ReasonRevoked)
	bearer("expired", plain, expired.Secret.Reveal(), responseInvalid, apikey.ReasonExpired)
	bearer("disabled", plain, disabled.Secret.Reveal(), responseInvalid, apikey.ReasonDisabled)

	withMAC := with(mem, func(o *apikey.Options) { o.MACKeys = [][]byte{macKey(0)} })
	forged := newForger("key", true).forge()
	secrets = append(secrets, forged)
	bearer("wrong MAC", withMAC, forged, responseInvalid, apikey.ReasonMalformed)
	bearer("no MAC", withMAC, good, responseInvalid, apikey.ReasonMalformed)

	bearer("no scopes", plain, token("owner1"), responseScope, apikey.ReasonScope)
	bearer("another scope", plain, token("owner1", "reports:write", "reports", "reports:readx"), responseScope, apikey.ReasonScope)
	bearer("another wildcard", plain, token("owner1", "invoices:*"), responseScope, apikey.ReasonScope)

	plans := with(mem, func(o *apikey.Options) {
		o.Entitlements = entitlement.ProviderFunc(func(_ context.Context, owner string) (entitlement.Entitlement, error) {
			switch owner {
			case "small":
				return entitlement.Entitlement{APIAccess: true, Scopes: []string{"reports:list"}}, nil
			case "free":
				return entitlement.Entitlement{Plan: "free"}, nil
			case "lapsed":
				return entitlement.Entitlement{APIAccess: true, ValidUntil: past}, nil
			case "gone":
				return paid, entitlement.ErrNone
			case "panics":
				panic("boom")
			}
			return paid, errDown
		})
	})
	bearer("scope beyond the plan", plans, token("small", "*"), responseScope, apikey.ReasonScope)
	bearer("plan without API access", plans, token("free", "*"), responsePlan, apikey.ReasonNotEntitled)
	bearer("plan lapsed", plans, token("lapsed", "*"), responsePlan, apikey.ReasonNotEntitled)
	bearer("no plan", plans, token("gone", "*"), responsePlan, apikey.ReasonNotEntitled)
	bearer("provider panics", plans, token("panics", "*"), responseOutage, apikey.ReasonUnavailable)
	bearer("provider down", plans, token("unlucky", "*"), responseOutage, apikey.ReasonUnavailable)

	ever := make(chan struct{})
	for name, lookup := range map[string]func(store.Record) (store.Record, error){
		"store down":                      func(r store.Record) (store.Record, error) { return r, errDown },
		"store panics":                    func(store.Record) (store.Record, error) { panic("boom") },
		"store hangs":                     func(r store.Record) (store.Record, error) { <-ever; return r, nil },
		"store returns an empty record":   func(store.Record) (store.Record, error) { return store.Record{}, nil },
		"store returns another's record":  func(r store.Record) (store.Record, error) { r.Digest[0]++; return r, nil },
		"store returns no owner":          func(r store.Record) (store.Record, error) { r.Owner = ""; return r, nil },
		"store returns apikey.ErrRevoked": func(r store.Record) (store.Record, error) { return r, apikey.ErrRevoked },
		"store times out by itself":       func(r store.Record) (store.Record, error) { return r, context.DeadlineExceeded },
	} {
		g := with(lookupStore{mem, lookup}, func(o *apikey.Options) { o.CallTimeout = 20 * time.Millisecond })
		bearer(name, g, good, responseOutage, apikey.ReasonUnavailable)
		bearer(name+", key unknown", g, unknown, responseOutage, apikey.ReasonUnavailable)
	}
	t.Cleanup(func() { close(ever) })
	return all, secrets
}

func flip(c byte) string {
	if c == '0' {
		return "1"
	}
	return "0"
}

// A lookupStore changes the results of look-ups.
type lookupStore struct {
	store.Store
	change func(store.Record) (store.Record, error)
}

func (s lookupStore) Lookup(ctx context.Context, d store.Digest) (store.Record, error) {
	r, err := s.Store.Lookup(ctx, d)
	if errors.Is(err, store.ErrNotFound) {
		r.Digest, r.ID, r.Owner = d, "key_1", "anyone" // worse than ErrNotFound
	}
	return s.change(r)
}

// H-01 (advisory 11, CVE-2026-44882), H-02, H-03, H-06, H-10, H-14: for every
// cause, the next handler does not run, the response equals the one in the table, and the
// event has the reason. The token is not in the log, the response, or the request for the
// ErrorHandler. Each request is sent twice, so the second one uses the cache.
func TestRefusals(t *testing.T) {
	t.Parallel()
	var seen lockedBuffer
	for name, handler := range map[string]func(http.ResponseWriter, *http.Request, error){
		"default": nil,
		// It writes nothing, so the default response is sent.
		"ErrorHandler": func(_ http.ResponseWriter, r *http.Request, err error) {
			_, _ = fmt.Fprintf(&seen, "%v\n%v\n%+v\n%v\n", r.Header, r.Context(), r.Context(), err)
		},
	} {
		t.Run(name, func(t *testing.T) {
			var logged, responses lockedBuffer
			all, secrets := refusals(t, apikey.Options{
				ErrorHandler: handler,
				Logger:       slog.New(slog.NewJSONHandler(&logged, &slog.HandlerOptions{Level: slog.LevelDebug})),
			})
			if len(all) < 25 {
				t.Fatalf("causes of refusals: got %d, want at least 25", len(all))
			}
			for _, tt := range slices.Concat(all, all) {
				tt.gate.events.take()
				a := tt.gate.send(t, tt.raw)
				if a.raw != tt.want {
					t.Errorf("%s: got\n%s\nwant\n%s", tt.name, a.raw, tt.want)
				}
				if n := tt.gate.ran.Load(); n != 0 {
					t.Fatalf("%s: runs of the next handler after a refusal: got %d, want 0", tt.name, n)
				}
				if got := tt.gate.reasons(); !slices.Equal(got, []apikey.Reason{tt.reason}) {
					t.Errorf("%s: got events with the reasons %q, want one with %q", tt.name, got, tt.reason)
				}
				_, _ = io.WriteString(&responses, a.raw)
				if saw := seen.String(); handler != nil && !tt.stray {
					wantNone(t, tt.name+": request of the ErrorHandler", saw, secrets)
				}
				seen.mu.Lock()
				seen.buf.Reset()
				seen.mu.Unlock()
			}
			wantNone(t, "the log", logged.String(), secrets)
			wantNone(t, "an response", responses.String(), secrets)
			for _, tt := range all {
				wantNone(t, "the server's log", tt.gate.log.String(), secrets)
			}
			if !strings.Contains(logged.String(), `"reason":"revoked"`) || !strings.Contains(logged.String(), `"reason":"scope"`) {
				t.Error("the log at debug level does not name the reasons of refusals")
			}
		})
	}
}

// wantNone fails the test if text contains a token or the random part of one.
func wantNone(t *testing.T, where, text string, secrets []string) {
	t.Helper()
	for _, s := range secrets {
		if strings.Contains(text, s[len("key_")+4:len(s)-6]) {
			t.Errorf("%s contains a token: %.300q", where, text)
		}
	}
}

// H-03: the response does not show why a key is refused. Every 401 with a credential is the
// same, with each carrier.
func TestRefusedKeysLookTheSame(t *testing.T) {
	t.Parallel()
	all, _ := refusals(t, apikey.Options{})
	responses := map[string][]string{}
	reasons := map[apikey.Reason]bool{}
	for _, tt := range all {
		switch tt.reason {
		case apikey.ReasonMalformed, apikey.ReasonUnknown, apikey.ReasonRevoked, apikey.ReasonExpired, apikey.ReasonDisabled:
			raw := tt.gate.send(t, tt.raw).raw
			responses[raw] = append(responses[raw], tt.name)
			reasons[tt.reason] = true
		}
	}
	if len(responses) != 1 || len(reasons) != 5 {
		t.Errorf("got %d different responses for %d reasons, want 1 for 5; reasons by response: %v", len(responses), len(reasons), responses)
	}
}

// The other responses: to accepted requests, and to HEAD.
func TestResponses(t *testing.T) {
	t.Parallel()
	g := newGate(t, apikey.Options{Headers: []string{"X-API-Key", "Authorization"}, Realm: "acme api"}, "reports:read", "reports:list")
	good, err := g.Create(t.Context(), apikey.CreateParams{Owner: "owner1", Name: "n", Scopes: []string{"reports:*"}})
	if err != nil {
		t.Fatal(err)
	}
	token, half := good.Secret.Reveal(), create(t, g.Manager, "owner1").Secret.Reveal()
	const length, kind = "Content-Length: 6\n", "Content-Type: text/plain; charset=utf-8\n"
	for _, tt := range []struct{ name, raw, want string }{
		{"Bearer", lines("GET /", "Authorization: Bearer "+token), "HTTP/1.1 200 OK\nConnection: close\n" + length + kind + "Vary: Authorization\n\nowner1"},
		// H-11: shared HTTP caches know only Authorization as a credential.
		{"X-API-Key", lines("GET /", "X-API-Key: "+token), "HTTP/1.1 200 OK\nCache-Control: private\nConnection: close\n" + length + kind + "Vary: X-Api-Key\n\nowner1"},
		{"HEAD, good", lines("HEAD /", "Authorization: Bearer "+token), "HTTP/1.1 200 OK\nConnection: close\n" + length + kind + "Vary: Authorization\n\n"},
		{"HEAD, missing", lines("HEAD /"), strings.Replace(head(responseMissing), `"api"`, `"acme api"`, 1)},
		{"HEAD, garbage", lines("HEAD /", "X-API-Key: x"), strings.Replace(head(responseInvalid), `"api"`, `"acme api"`, 1)},
		{"two scopes, one missing", lines("GET /", "X-API-Key: "+half), strings.NewReplacer(`"api"`, `"acme api"`, `"reports:read"`, `"reports:read reports:list"`).Replace(responseScope)},
	} {
		if a := g.send(t, tt.raw); a.raw != tt.want {
			t.Errorf("%s: got\n%s\nwant\n%s", tt.name, a.raw, tt.want)
		}
	}
}

// head returns a response without its body.
func head(response string) string {
	i := strings.Index(response, "\n\n")
	return response[:i+2]
}

// H-12: a preflight needs no credential and never reaches the next handler. Any other
// OPTIONS request is authenticated.
func TestPreflight(t *testing.T) {
	t.Parallel()
	g := newGate(t, apikey.Options{Headers: []string{"Authorization", "X-API-Key"}}, "reports:read")
	token := create(t, g.Manager, "owner1").Secret.Reveal()
	origin, method := "Origin: https://app.example", "Access-Control-Request-Method: PUT"
	const optionsResponse = "HTTP/1.1 204 No Content\nConnection: close\n\n"
	for _, tt := range []struct {
		name, raw string
		status    int
		runs      int64
	}{
		{"preflight", lines("OPTIONS /", origin, method), 204, 0},
		{"preflight for the credential", lines("OPTIONS /", origin, method, "Access-Control-Request-Headers: authorization, x-api-key"), 204, 0},
		{"preflight with a valid key", lines("OPTIONS /", origin, method, "Authorization: Bearer "+token), 204, 0},
		{"preflight with a bad key", lines("OPTIONS /", origin, method, "Authorization: Bearer x"), 204, 0},
		{"preflight with two keys", lines("OPTIONS /", origin, method, "X-API-Key: a", "X-API-Key: b"), 204, 0},
		{"plain", lines("OPTIONS /"), 401, 0},
		{"plain with a bad key", lines("OPTIONS /", "X-API-Key: x"), 401, 0},
		{"plain with a valid key", lines("OPTIONS /", "X-API-Key: "+token), 200, 1},
		{"Origin alone", lines("OPTIONS /", origin), 401, 0},
		{"method alone", lines("OPTIONS /", method), 401, 0},
		{"in lower case, which is another method", lines("options /", origin, method), 401, 0},
		{"POST", lines("POST /", origin, method, "Content-Length: 0"), 401, 0},
		{"HEAD", lines("HEAD /", origin, method), 401, 0},
		{"method override", lines("POST /", origin, method, "X-HTTP-Method-Override: OPTIONS", "Content-Length: 0"), 401, 0},
	} {
		before := g.ran.Load()
		a := g.send(t, tt.raw)
		if a.status != tt.status || tt.status == 204 && a.raw != optionsResponse {
			t.Errorf("%s: got %s, want status %d without CORS headers", tt.name, a.raw, tt.status)
		}
		if n := g.ran.Load() - before; n != tt.runs {
			t.Errorf("%s: runs of the next handler: got %d, want %d", tt.name, n, tt.runs)
		}
	}
}

func TestStatusCode(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		err    error
		status int
	}{
		{apikey.ErrUnauthenticated, 401},
		{apikey.ErrMissing, 401},
		{apikey.ErrMalformed, 401},
		{apikey.ErrUnknown, 401},
		{apikey.ErrRevoked, 401},
		{apikey.ErrExpired, 401},
		{apikey.ErrDisabled, 401},
		{apikey.ErrAmbiguous, 400},
		{apikey.ErrForbidden, 403},
		{apikey.ErrNotEntitled, 403},
		{apikey.ErrScope, 403},
		{apikey.ErrLimited, 429},
		{apikey.ErrUnavailable, 503},
		{fmt.Errorf("host: %w", apikey.ErrRevoked), 401},
		// An outage is 503, even if it wraps another error.
		{fmt.Errorf("%w: %w", apikey.ErrUnavailable, apikey.ErrRevoked), 503},
		{fmt.Errorf("%w: %w", apikey.ErrScope, apikey.ErrUnavailable), 503},
		{apikey.ErrNotFound, 500},
		{apikey.ErrConflict, 500},
		{&apikey.InvalidError{Field: "Name"}, 500},
		{errors.New("other"), 500},
		{context.Canceled, 500},
		{nil, 500},
	} {
		if got := apikey.StatusCode(tt.err); got != tt.status {
			t.Errorf("StatusCode(%v) = %d, want %d", tt.err, got, tt.status)
		}
	}
}

// WriteError after ValidateRequest sends the same response as Require. A host's own error is
// 500.
func TestWriteError(t *testing.T) {
	t.Parallel()
	m := newManager(t, memstore.New(), nil)
	withoutScope := strings.Replace(responseScope, `, scope="reports:read"`, "", 1)
	for _, tt := range []struct {
		name string
		err  error
		want string
	}{
		{"ErrMissing", apikey.ErrMissing, responseMissing},
		{"ErrMalformed", apikey.ErrMalformed, responseInvalid},
		{"ErrUnknown", apikey.ErrUnknown, responseInvalid},
		{"ErrRevoked", apikey.ErrRevoked, responseInvalid},
		{"ErrExpired", apikey.ErrExpired, responseInvalid},
		{"ErrDisabled", apikey.ErrDisabled, responseInvalid},
		{"ErrUnauthenticated", apikey.ErrUnauthenticated, responseInvalid},
		{"ErrAmbiguous", apikey.ErrAmbiguous, responseAmbiguous},
		{"ErrScope", apikey.ErrScope, withoutScope},
		{"ErrNotEntitled", apikey.ErrNotEntitled, responsePlan},
		{"ErrForbidden", apikey.ErrForbidden, responsePlan},
		{"ErrUnavailable", apikey.ErrUnavailable, responseOutage},
		{"wrapped", fmt.Errorf("x: %w", apikey.ErrUnknown), responseInvalid},
		{"another's error", errors.New("secret detail"), responseInternal},
		{"nil", nil, responseInternal},
	} {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			// Caching headers for a successful response must not apply to a refusal.
			w.Header().Set("Cache-Control", "public, max-age=3600")
			m.WriteError(w, r, tt.err)
		}))
		if a := send(t, s.Listener.Addr().String(), lines("GET /")); a.raw != tt.want {
			t.Errorf("%s: got\n%s\nwant\n%s", tt.name, a.raw, tt.want)
		}
		s.Close()
	}
}

// An ErrorHandler may write the whole response, only its body, or nothing. The next handler
// never runs, and the status is not 200 unless the ErrorHandler sets it.
func TestErrorHandler(t *testing.T) {
	t.Parallel()
	const fields = "Cache-Control: no-store\nConnection: close\n"
	const challenge = "Www-Authenticate: Bearer realm=\"api\", error=\"invalid_token\"\n"
	for _, tt := range []struct {
		name    string
		handler func(http.ResponseWriter, *http.Request, error)
		want    string
	}{
		{"nothing", func(http.ResponseWriter, *http.Request, error) {}, responseInvalid},
		{"a header", func(w http.ResponseWriter, _ *http.Request, _ error) {
			w.Header().Set("X-Request-Id", "7")
		}, responseInvalid[:strings.Index(responseInvalid, "\n\n")] + "\nX-Request-Id: 7" + responseInvalid[strings.Index(responseInvalid, "\n\n"):]},
		{"its body", func(w http.ResponseWriter, _ *http.Request, _ error) {
			w.Header().Set("Content-Type", "text/plain")
			_, _ = io.WriteString(w, "no")
			_, _ = io.WriteString(w, "pe")
		}, "HTTP/1.1 401 Unauthorized\n" + fields + "Content-Length: 4\nContent-Type: text/plain\n" + challenge + "\nnope"},
		{"status and body", func(w http.ResponseWriter, _ *http.Request, err error) {
			w.Header().Set("Content-Type", "text/plain")
			w.WriteHeader(http.StatusTeapot)
			_, _ = fmt.Fprint(w, apikey.StatusCode(err))
		}, "HTTP/1.1 418 I'm a teapot\n" + fields + "Content-Length: 3\nContent-Type: text/plain\n" + challenge + "\n401"},
		{"its status", func(w http.ResponseWriter, _ *http.Request, err error) {
			w.WriteHeader(apikey.StatusCode(err))
		}, "HTTP/1.1 401 Unauthorized\n" + fields + "Content-Length: 0\n" + challenge + "\n"},
		{"http.Error", func(w http.ResponseWriter, _ *http.Request, err error) {
			http.Error(w, "nope", apikey.StatusCode(err))
		}, "HTTP/1.1 401 Unauthorized\n" + fields + "Content-Length: 5\nContent-Type: text/plain; charset=utf-8\n" + challenge + "X-Content-Type-Options: nosniff\n\nnope\n"},
		{"an empty write", func(w http.ResponseWriter, _ *http.Request, _ error) {
			_, _ = w.Write(nil)
		}, "HTTP/1.1 401 Unauthorized\n" + fields + "Content-Length: 0\n" + challenge + "\n"},
		{"a flush", func(w http.ResponseWriter, _ *http.Request, _ error) {
			if err := http.NewResponseController(w).Flush(); err != nil {
				panic(err)
			}
		}, "HTTP/1.1 401 Unauthorized\n" + fields + challenge + "Transfer-Encoding: chunked\n\n0\r\n\r\n"},
		{"an invalid status code", func(w http.ResponseWriter, _ *http.Request, _ error) {
			defer func() { _ = recover() }()
			w.WriteHeader(1000)
		}, responseInvalid},
		{"a copy of nothing", func(w http.ResponseWriter, _ *http.Request, _ error) {
			_, _ = w.(io.ReaderFrom).ReadFrom(strings.NewReader(""))
		}, "HTTP/1.1 401 Unauthorized\n" + fields + "Content-Length: 0\n" + challenge + "\n"},
		{"a deadline and nothing", func(w http.ResponseWriter, _ *http.Request, _ error) {
			if err := http.NewResponseController(w).SetWriteDeadline(time.Now().Add(time.Minute)); err != nil {
				panic(err)
			}
		}, responseInvalid},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			g := newGate(t, apikey.Options{ErrorHandler: tt.handler})
			a := g.send(t, lines("GET /", "Authorization: Bearer garbage"))
			if sorted(a.raw) != sorted(tt.want) {
				t.Errorf("got\n%s\nwant\n%s", a.raw, tt.want)
			}
			if g.ran.Load() != 0 {
				t.Error("the next handler ran after a refusal")
			}
		})
	}
}

// sorted sorts the header lines of a response.
func sorted(response string) string {
	head, body, _ := strings.Cut(response, "\n\n")
	fields := strings.Split(head, "\n")
	slices.Sort(fields[1:])
	return strings.Join(fields, "\n") + "\n\n" + body
}

// An ErrorHandler that sends only an informational response gets the default response.
func TestErrorHandlerInforms(t *testing.T) {
	t.Parallel()
	g := newGate(t, apikey.Options{ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) {
		w.WriteHeader(http.StatusEarlyHints)
	}})
	resp, err := http.Get(g.server.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != 401 || resp.Header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("after early hints: got %s, want the default 401", resp.Status)
	}
}

// H-08, H-10: the ErrorHandler's request has no credential, not even a valid one, since the
// handler may log it. The request outside the middleware does not change.
func TestErrorHandlerSeesNoToken(t *testing.T) {
	t.Parallel()
	var dump []byte
	m := newManager(t, memstore.New(), &apikey.Options{
		Headers: []string{"Authorization", "X-API-Key"},
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			dump, _ = httputil.DumpRequest(r, true)
			dump = fmt.Appendf(dump, "%v %+v %#v", err, r.Context(), r.Header)
		},
	})
	token := create(t, m, "o").Secret.Reveal()
	for name, h := range map[string]http.Header{
		"scope": {"Authorization": {"Bearer " + token}},
		"two":   {"Authorization": {"Bearer " + token}, "X-Api-Key": {token}},
		"twice": {"X-Api-Key": {token, token}},
		"other": {"Authorization": {"Basic " + token}},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header = h.Clone()
		m.Require("admin")(http.NotFoundHandler()).ServeHTTP(httptest.NewRecorder(), r)
		if len(dump) == 0 {
			t.Fatalf("%s: the ErrorHandler was not called", name)
		}
		wantNone(t, name+": the ErrorHandler's request", string(dump), []string{token})
		if fmt.Sprint(r.Header) != fmt.Sprint(h) {
			t.Errorf("%s: headers of the caller's own request: got %v, want %v", name, r.Header, h)
		}
	}
}
