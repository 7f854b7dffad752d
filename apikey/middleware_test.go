package apikey_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/keyhatch/keyhatch/apikey"
	"github.com/keyhatch/keyhatch/entitlement"
	"github.com/keyhatch/keyhatch/internal/testkit"
	"github.com/keyhatch/keyhatch/store/memstore"
)

// serve calls the handler directly and returns its response.
func serve(h http.Handler, r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func requestWith(t testing.TB, header ...string) *http.Request {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
	for pair := range slices.Chunk(header, 2) {
		r.Header.Add(pair[0], pair[1])
	}
	return r
}

// panicOf returns the value with which f panics, or nil.
func panicOf(f func()) (p any) {
	defer func() { p = recover() }()
	f()
	return nil
}

// H-16: without the middleware there is no Principal, and MustPrincipal panics. A zero or
// nil Principal allows nothing.
func TestNoPrincipalWithoutRequire(t *testing.T) {
	t.Parallel()
	type principalKey struct{}
	m := newManager(t, memstore.New(), nil)
	good := wantValid(t, m, create(t, m, "o"))
	for name, ctx := range map[string]context.Context{
		"background":       t.Context(),
		"a look-alike key": context.WithValue(t.Context(), principalKey{}, good),
		//lint:ignore SA1029 such a key must not be accepted
		"a key by its name": context.WithValue(t.Context(), "apikey.principalKey", good),
	} {
		if p, ok := apikey.PrincipalFromContext(ctx); ok || p != nil {
			t.Errorf("%s: PrincipalFromContext = %v, %v, want none", name, p, ok)
		}
		p := panicOf(func() { apikey.MustPrincipal(ctx) })
		if msg, ok := p.(string); !ok || !strings.Contains(msg, "Require") {
			t.Errorf("%s: MustPrincipal panics with %v, want a message that names Require", name, p)
		}
	}
	var missing *apikey.Principal
	for name, p := range map[string]*apikey.Principal{
		"nil":  missing,
		"zero": {},
	} {
		if key := p.Key(); p.Owner() != "" || p.KeyID() != "" || key.ID != "" || !key.CreatedAt.IsZero() || p.Entitlement().APIAccess {
			t.Errorf("a Principal that is %s has owner %q and key %+v", name, p.Owner(), key)
		}
		for _, scope := range []string{"", "*", "reports:read"} {
			if p.Allows(scope) {
				t.Errorf("a Principal that is %s allows %q", name, scope)
			}
		}
	}
}

func TestRequirePanics(t *testing.T) {
	t.Parallel()
	m := newManager(t, memstore.New(), nil)
	for _, scope := range []string{"", " ", "a b", `a"b`, "a,b", "é", "a\r\nb", strings.Repeat("a", 65)} {
		p := panicOf(func() { m.Require("good", scope) })
		if msg, ok := p.(string); !ok || !strings.HasPrefix(msg, "apikey: ") {
			t.Errorf("Require(%q) panics with %v, want a message of package apikey that names the scope", scope, p)
		}
	}
	if panicOf(func() { m.Require()(nil) }) == nil {
		t.Error("Require of a nil handler did not panic")
	}
	if p := panicOf(func() { m.Require(strings.Repeat("a", 64), "*", "a:b/c.d-e_f*")(http.NotFoundHandler()) }); p != nil {
		t.Errorf("Require of valid scopes panicked: %v", p)
	}
}

// Require copies its scopes.
func TestRequireKeepsItsScopes(t *testing.T) {
	t.Parallel()
	m := newManager(t, memstore.New(), nil)
	scopes := []string{"admin"}
	h := m.Require(scopes...)(http.NotFoundHandler())
	scopes[0] = "reports:read"
	token := create(t, m, "o").Secret.Reveal()
	if w := serve(h, requestWith(t, "Authorization", "Bearer "+token)); w.Code != http.StatusForbidden {
		t.Errorf("after the caller changed its slice: got status %d, want 403", w.Code)
	}
}

// The next handler's context is derived from the request's.
func TestContextIsKept(t *testing.T) {
	t.Parallel()
	m := newManager(t, memstore.New(), nil)
	token := create(t, m, "o").Secret.Reveal()
	type traceKey struct{}
	ctx, cancel := context.WithTimeout(context.WithValue(t.Context(), traceKey{}, "trace"), time.Hour)
	h := m.Require()(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		got, _ := r.Context().Deadline()
		want, _ := ctx.Deadline()
		if r.Context().Value(traceKey{}) != "trace" || !got.Equal(want) {
			t.Error("the next handler's context lost a value or the deadline")
		}
		child := context.WithValue(r.Context(), traceKey{}, "span")
		if p, ok := apikey.PrincipalFromContext(child); !ok || p.Key().Owner != "o" {
			t.Errorf("a derived context has the Principal %v", p)
		}
		cancel()
		select {
		case <-r.Context().Done():
		case <-time.After(10 * time.Second):
			t.Error("the next handler's context does not end with the request's")
		}
	}))
	if w := serve(h, requestWith(t, "Authorization", "Bearer "+token).WithContext(ctx)); w.Code != 200 {
		t.Errorf("got status %d, want 200", w.Code)
	}
}

// Middlewares of one Manager nest. The inner one uses the Principal of the outer one, and
// nothing else.
func TestNestedRequire(t *testing.T) {
	t.Parallel()
	st := memstore.New()
	opts := func(events *recorder) *apikey.Options {
		return &apikey.Options{Headers: []string{"Authorization", "X-API-Key"}, OnEvent: events.record, MaxKeysPerOwner: -1}
	}
	var events, strangers recorder
	m, other := newManager(t, st, opts(&events)), newManager(t, st, opts(&strangers))
	token := create(t, m, "o").Secret.Reveal()
	revoked, second := create(t, m, "o"), create(t, m, "second").Secret.Reveal()
	if _, err := m.Revoke(t.Context(), "o", revoked.Key.ID, ""); err != nil {
		t.Fatal(err)
	}
	between := func(header, value string) func(http.Handler) http.Handler {
		return func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if header != "" {
					r.Header.Add(header, value)
				}
				next.ServeHTTP(w, r)
			})
		}
	}
	for _, tt := range []struct {
		name   string
		inner  func(http.Handler) http.Handler
		header string // set between the two middlewares
		value  string
		status int
		owner  string
		reason apikey.Reason
	}{
		{"no scope", m.Require(), "", "", 200, "o", ""},
		{"its scope", m.Require("reports:read"), "", "", 200, "o", ""},
		{"a scope it lacks", m.Require("admin"), "", "", 403, "", apikey.ReasonScope},
		{"one of two scopes", m.Require("reports:read", "admin"), "", "", 403, "", apikey.ReasonScope},
		{"a valid key between", m.Require(), "Authorization", "Bearer " + second, 200, "second", ""},
		{"a revoked key between", m.Require(), "X-API-Key", revoked.Secret.Reveal(), 401, "", apikey.ReasonRevoked},
		{"garbage between", m.Require(), "X-API-Key", "x", 401, "", apikey.ReasonMalformed},
		{"an empty header between", m.Require(), "X-API-Key", "", 401, "", apikey.ReasonMalformed},
		{"another scheme between", m.Require(), "Authorization", "Basic YTpi", 401, "", apikey.ReasonMissing},
		// A middleware does not accept the Principal of another Manager, even with the same store.
		{"of another Manager", other.Require(), "", "", 401, "", apikey.ReasonMissing},
	} {
		events.take()
		strangers.take()
		owner := ""
		h := m.Require()(between(tt.header, tt.value)(tt.inner(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			owner = apikey.MustPrincipal(r.Context()).Owner()
		}))))
		w := serve(h, requestWith(t, "X-API-Key", token))
		if w.Code != tt.status || owner != tt.owner {
			t.Errorf("%s: got status %d and owner %q, want %d and %q", tt.name, w.Code, owner, tt.status, tt.owner)
		}
		got := append(events.take(), strangers.take()...)
		if tt.reason == "" && len(got) != 0 || tt.reason != "" && (len(got) != 1 || got[0].Reason != tt.reason) {
			t.Errorf("%s: got the events %+v, want one with reason %q", tt.name, got, tt.reason)
		}
		wantControl := "private, no-store"
		if tt.status == 200 {
			wantControl = "private"
		}
		if cc := w.Header()["Cache-Control"]; !slices.Equal(cc, []string{wantControl}) {
			t.Errorf("%s: Cache-Control: got %q, want only %q", tt.name, cc, wantControl)
		}
		wantVary := []string{"X-Api-Key"}
		if tt.owner == "second" {
			wantVary = append(wantVary, "Authorization")
		}
		if vary := w.Header()["Vary"]; !slices.Equal(vary, wantVary) {
			t.Errorf("%s: Vary: got %q, want %q", tt.name, vary, wantVary)
		}
	}
	// A Principal of one request does not authenticate another.
	inner := m.Require()(http.NotFoundHandler())
	if w := serve(inner, requestWith(t)); w.Code != 401 {
		t.Errorf("the inner route without the outer one: got status %d, want 401", w.Code)
	}
}

// The caching directives of other handlers are kept, in addition to ours.
func TestPrivateKeepsOtherDirectives(t *testing.T) {
	t.Parallel()
	m := newManager(t, memstore.New(), &apikey.Options{Headers: []string{"X-API-Key"}})
	token := create(t, m, "o").Secret.Reveal()
	w := httptest.NewRecorder()
	w.Header().Set("Vary", "Origin")
	m.Require()(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Add("Vary", "Accept")
		w.Header().Add("Cache-Control", "max-age=60")
	})).ServeHTTP(w, requestWith(t, "X-API-Key", token))
	if got := w.Header()["Vary"]; !slices.Equal(got, []string{"Origin", "X-Api-Key", "Accept"}) {
		t.Errorf("Vary: got %q, want all three headers", got)
	}
	if got := w.Header()["Cache-Control"]; !slices.Equal(got, []string{"private, max-age=60"}) {
		t.Errorf("Cache-Control: got %q, want private and max-age", got)
	}
}

// H-08: nothing that the next handler gets contains the credential, at any depth, and the
// caller's own request does not change.
func TestCredentialIsRemoved(t *testing.T) {
	t.Parallel()
	m := newManager(t, memstore.New(), &apikey.Options{Headers: []string{"Authorization", "X-API-Key", "X-Old-Key"}})
	token := create(t, m, "o").Secret.Reveal()
	for name, header := range map[string][]string{
		"bearer":    {"Authorization", "Bearer " + token},
		"X-API-Key": {"X-API-Key", token, "X-Other", "kept"},
		"X-Old-Key": {"x-old-key", token},
	} {
		r := requestWith(t, header...)
		sent := r.Header.Clone()
		ran := false
		serve(m.Require()(http.HandlerFunc(func(_ http.ResponseWriter, got *http.Request) {
			ran = true
			for where, v := range map[string]any{"request": got, "context": got.Context(), "Principal": apikey.MustPrincipal(got.Context())} {
				if path := findText(v, token[8:34]); path != "" {
					t.Errorf("%s: the next handler finds the token in its %s, at %s", name, where, path)
				}
				for _, verb := range []string{"%v", "%+v", "%#v"} {
					wantNone(t, name+": next's "+where+" printed with "+verb, fmt.Sprintf(verb, v), []string{token})
				}
			}
			want := sent.Clone()
			maps.DeleteFunc(want, func(k string, _ []string) bool { return k != "X-Other" })
			if !reflect.DeepEqual(got.Header, want) {
				t.Errorf("%s: headers of the next handler: got %v, want %v", name, got.Header, want)
			}
			got.Header.Set("X-Other", "changed")
			got.Header.Set("X-More", "added")
		})), r)
		if !ran {
			t.Fatalf("%s: the credential was refused", name)
		}
		if !reflect.DeepEqual(r.Header, sent) {
			t.Errorf("%s: the caller's own headers: got %v, want %v", name, r.Header, sent)
		}
		if _, ok := apikey.PrincipalFromContext(r.Context()); ok {
			t.Errorf("%s: the caller's own request has a Principal", name)
		}
	}
	// Control: findText finds a token that was not removed.
	if r := requestWith(t, "Authorization", "Bearer "+token); findText(r, token[8:34]) == "" {
		t.Error("findText misses the token of a request that has it")
	}
}

// findText searches all values that v refers to, including unexported fields, for s, and
// returns the path to it. It skips the Manager, which belongs to the host.
func findText(v any, s string) string {
	seen := map[uintptr]bool{}
	var walk func(v reflect.Value, path string) string
	walk = func(v reflect.Value, path string) string {
		switch v.Kind() {
		case reflect.String:
			if strings.Contains(v.String(), s) {
				return path
			}
		case reflect.Interface:
			return walk(v.Elem(), path)
		case reflect.Pointer:
			if v.IsNil() || seen[v.Pointer()] || v.Type() == reflect.TypeFor[*apikey.Manager]() || strings.HasPrefix(v.Type().String(), "*testing.") {
				return ""
			}
			seen[v.Pointer()] = true
			return walk(v.Elem(), path)
		case reflect.Struct:
			for i := range v.NumField() {
				if found := walk(v.Field(i), path+"."+v.Type().Field(i).Name); found != "" {
					return found
				}
			}
		case reflect.Map:
			for _, k := range v.MapKeys() {
				if found := walk(k, path+"[key]") + walk(v.MapIndex(k), path+"["+k.String()+"]"); found != "" {
					return found
				}
			}
		case reflect.Slice, reflect.Array:
			if v.Kind() == reflect.Slice && v.Type().Elem().Kind() == reflect.Uint8 {
				if bytes.Contains(v.Bytes(), []byte(s)) {
					return path
				}
				return ""
			}
			for i := range v.Len() {
				if found := walk(v.Index(i), fmt.Sprintf("%s[%d]", path, i)); found != "" {
					return found
				}
			}
		}
		return ""
	}
	return walk(reflect.ValueOf(v), "v")
}

// H-08, advisory 22 (CVE-2022-31130): a reverse proxy inside the middleware does not send
// the credential upstream.
func TestUpstreamSeesNoToken(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var upstreamGot []string
	upstream := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		dump, _ := httputil.DumpRequest(r, true)
		mu.Lock()
		defer mu.Unlock()
		upstreamGot = append(upstreamGot, string(dump))
	}))
	defer upstream.Close()
	target, err := url.Parse(upstream.URL)
	if err != nil {
		t.Fatal(err)
	}
	m := newManager(t, memstore.New(), &apikey.Options{Headers: []string{"Authorization", "X-API-Key"}})
	token := create(t, m, "o").Secret.Reveal()
	for name, proxy := range map[string]http.Handler{
		"Director": httputil.NewSingleHostReverseProxy(target),
		"Rewrite":  &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target); r.SetXForwarded() }},
	} {
		front := httptest.NewServer(m.Require("reports:read")(proxy))
		addr := front.Listener.Addr().String()
		for _, header := range []string{"Authorization: Bearer " + token, "X-API-Key: " + token, "x-api-key:" + token + "\r\nConnection: X-Other"} {
			a := send(t, addr, lines("POST /up?x=1", header, "X-Other: kept", "Content-Length: 4")+"body")
			if a.status != 200 {
				t.Errorf("%s: got status %d, want 200", name, a.status)
			}
		}
		for _, header := range []string{"Authorization: Bearer x", "X-Other: " + "nothing"} {
			if a := send(t, addr, lines("GET /up", header)); a.status != 401 {
				t.Errorf("%s: got status %d, want 401", name, a.status)
			}
		}
		front.Close()
	}
	if len(upstreamGot) != 6 {
		t.Errorf("requests to the upstream: got %d, want the 6 valid ones", len(upstreamGot))
	}
	for _, got := range upstreamGot {
		wantNone(t, "upstream", got, []string{token})
		if !strings.Contains(got, "/up?x=1") || !strings.HasSuffix(got, "body") || strings.Contains(got, "Authorization") || strings.Contains(got, "X-Api-Key") {
			t.Errorf("request to the upstream: got %q, want it without its credential", got)
		}
	}
}

// H-14: during an outage the response is 503 with Retry-After. The outage is not cached.
func TestOutageIs503(t *testing.T) { synctest.Test(t, checkOutages) }

func checkOutages(t *testing.T) {
	var storeDown, providerDown atomic.Bool
	st := &spyStore{Store: memstore.New(), before: func(op string) error {
		if op == "Lookup" && storeDown.Load() {
			return errDown
		}
		return nil
	}}
	g := &gate{store: st}
	h := g.handler(t, apikey.Options{
		MaxKeysPerOwner: -1,
		Entitlements: entitlement.ProviderFunc(func(_ context.Context, owner string) (entitlement.Entitlement, error) {
			if providerDown.Load() && strings.HasPrefix(owner, "new") {
				return entitlement.Entitlement{}, errDown
			}
			return paid, nil
		}),
	}, nil)
	token := func(owner string) string { return create(t, g.Manager, owner).Secret.Reveal() }
	warm, cold, revoked := token("warm"), token("cold"), create(t, g.Manager, "revoked")
	fresh := create(t, newManager(t, st.Store, &apikey.Options{}), "new").Secret.Reveal()
	if _, err := g.Revoke(t.Context(), "revoked", revoked.Key.ID, ""); err != nil {
		t.Fatal(err)
	}
	unknown := newForger("key", false).forge()
	check := func(when string, want map[string]int) {
		t.Helper()
		for range 3 {
			for token, status := range want {
				w := serve(h, requestWith(t, "Authorization", "Bearer "+token))
				if w.Code != status {
					t.Errorf("%s: got status %d, want %d", when, w.Code, status)
				}
				header := w.Header()
				if w.Code == 503 && (header.Get("Retry-After") == "" || header.Get("Cache-Control") != "no-store" || header.Get("WWW-Authenticate") != "") {
					t.Errorf("%s: headers of the 503: got %v, want Retry-After, no-store and no challenge", when, header)
				}
			}
		}
	}
	check("before", map[string]int{warm: 200})
	storeDown.Store(true)
	check("store down", map[string]int{warm: 200, cold: 503, revoked.Secret.Reveal(): 503, unknown: 503, "garbage": 401, fresh: 503})
	storeDown.Store(false)
	time.Sleep(2 * time.Second) // no circuit breaker stays open for longer
	providerDown.Store(true)
	check("provider down", map[string]int{warm: 200, cold: 200, revoked.Secret.Reveal(): 401, unknown: 401, "garbage": 401, fresh: 503})
	providerDown.Store(false)
	time.Sleep(2 * time.Second)
	check("after", map[string]int{warm: 200, cold: 200, revoked.Secret.Reveal(): 401, unknown: 401, "garbage": 401, fresh: 200})
}

// H-15: a panic of the next handler, such as http.ErrAbortHandler, reaches the server
// unchanged and does not contain the token.
func TestPanicInNext(t *testing.T) {
	m := newManager(t, memstore.New(), nil)
	token := create(t, m, "o").Secret.Reveal()
	bearer := "Bearer " + token
	cause := errors.New("cause")
	for _, want := range []any{cause, http.ErrAbortHandler} {
		h := m.Require()(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(want) }))
		if got := panicOf(func() { serve(h, requestWith(t, "Authorization", bearer)) }); got != want {
			t.Errorf("panic of the middleware: got %[2]v, want the next handler's %[1]v", want, got)
		}
	}
	// A panic that prints the whole request.
	var serverLog lockedBuffer
	s := httptest.NewUnstartedServer(m.Require()(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		panic(fmt.Sprintf("%+v %#v %v", r, r.Header, r.Context()))
	})))
	s.Config.ErrorLog = log.New(&serverLog, "", 0)
	s.Start()
	defer s.Close()
	settled := goroutines(t)
	for range 100 {
		conn, err := net.Dial("tcp", s.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(conn, lines("GET /", "Authorization: "+bearer))
		if got, _ := io.ReadAll(conn); len(got) != 0 {
			t.Errorf("response of a handler that panicked: got %q, want none", got)
		}
		conn.Close()
	}
	settled()
	if !strings.Contains(serverLog.String(), "panic serving") {
		t.Error("the server did not log the panics")
	}
	wantNone(t, "the server's log of a panic", serverLog.String(), []string{token})
	if a := send(t, s.Listener.Addr().String(), lines("GET /")); a.status != 401 {
		t.Errorf("request without a key after the panics: got status %d, want 401", a.status)
	}
}

// goroutines returns a function that fails the test unless the number of goroutines soon
// decreases to the present one. Tests that call it must not be parallel.
func goroutines(t *testing.T) func() {
	t.Helper()
	http.DefaultClient.CloseIdleConnections()
	before := runtime.NumGoroutine()
	return func() {
		t.Helper()
		n := 0
		for end := time.Now().Add(15 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
			if n = runtime.NumGoroutine(); n <= before {
				return
			}
		}
		stacks := make([]byte, 1<<16)
		t.Errorf("got %d goroutines, want at most the %d before:\n%s", n, before, stacks[:runtime.Stack(stacks, true)])
	}
}

// hangUp resets a connection, so that neither side waits for the other.
func hangUp(conn net.Conn) {
	_ = conn.(*net.TCPConn).SetLinger(0)
	_ = conn.Close()
}

// H-15: clients that disconnect at any point leak no goroutine and do not affect others.
func TestClientAborts(t *testing.T) {
	st := &spyStore{Store: memstore.New(), before: func(op string) error {
		if op == "Lookup" {
			pause() // so that some clients disconnect before the response
		}
		return nil
	}}
	m := newManager(t, st, &apikey.Options{MaxKeysPerOwner: -1})
	good := "Authorization: Bearer " + create(t, m, "owner1").Secret.Reveal()
	var streaming sync.WaitGroup
	s := httptest.NewUnstartedServer(m.Require()(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/upload":
			_, _ = io.Copy(io.Discard, r.Body)
		case "/stream":
			streaming.Add(1)
			defer streaming.Done()
			_, _ = io.WriteString(w, "begun")
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		}
	})))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.Start()
	defer s.Close()
	addr := s.Listener.Addr().String()
	if a := send(t, addr, lines("GET /", good)); a.status != 200 {
		t.Fatalf("got status %d, want 200", a.status)
	}
	settled := goroutines(t)
	const clients = 8
	var wg sync.WaitGroup
	for range clients {
		wg.Go(func() {
			f := newForger("key", false)
			for i := range testkit.Trials(500, 100_000) / clients {
				conn, err := net.Dial("tcp", addr)
				if err != nil {
					t.Error(err)
					return
				}
				_ = conn.SetDeadline(time.Now().Add(30 * time.Second))
				switch i % 6 {
				case 0: // hangs up in the header
					_, _ = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: test\r\nAuthorization: Bearer key_")
				case 1: // hangs up during the look-up
					_, _ = io.WriteString(conn, lines("GET /", "Authorization: Bearer "+f.forge()))
				case 2: // hangs up before the response
					_, _ = io.WriteString(conn, lines("GET /", good))
				case 3: // hangs up in the body
					_, _ = io.WriteString(conn, lines("POST /upload", good, "Content-Length: 1000")+"some of it")
				case 4: // hangs up in the body of a request that is refused
					_, _ = io.WriteString(conn, "POST /upload HTTP/1.1\r\nHost: test\r\nContent-Length: 1000\r\n\r\nsome of it")
				case 5: // hangs up during the response
					_, _ = io.WriteString(conn, lines("GET /stream", good))
					_, _ = io.ReadFull(conn, make([]byte, 20))
				}
				hangUp(conn)
			}
		})
	}
	wg.Wait()
	if a := send(t, addr, lines("GET /", good)); a.status != 200 {
		t.Errorf("active key after the aborts: got status %d, want 200", a.status)
	}
	streaming.Wait()
	settled()
}

// H-15: clients that send slowly, or wait for a store that hangs, do not delay others.
func TestSlowClientsAndStore(t *testing.T) {
	release := make(chan struct{})
	var hang atomic.Bool
	st := &spyStore{Store: memstore.New(), before: func(op string) error {
		if op == "Lookup" && hang.Load() {
			<-release
		}
		return nil
	}}
	g := newGateOver(t, st, apikey.Options{CallTimeout: time.Minute})
	good := "Authorization: Bearer " + create(t, g.Manager, "owner1").Secret.Reveal()
	if a := g.send(t, lines("GET /", good)); a.status != 200 {
		t.Fatalf("got status %d, want 200", a.status)
	}
	settled := goroutines(t)
	var slow []net.Conn
	letGo := sync.OnceFunc(func() {
		for _, conn := range slow {
			hangUp(conn)
		}
		close(release)
	})
	defer letGo()
	hang.Store(true)
	f := newForger("key", false)
	for i := range 300 {
		conn, err := net.Dial("tcp", g.server.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		slow = append(slow, conn)
		switch i % 3 {
		case 0: // never completes the credential
			_, _ = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: test\r\nAuthorization: Bearer key_")
		case 1: // never sends the body
			_, _ = io.WriteString(conn, lines("POST /", good, "Content-Length: 10"))
		case 2: // waits for the store
			_, _ = io.WriteString(conn, lines("GET /", "Authorization: Bearer "+f.forge()))
		}
	}
	for end := time.Now().Add(20 * time.Second); st.lookups.Load() < 17; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("look-ups: got %d, want 17: 1 of the active key, and 16 that hang", st.lookups.Load())
		}
	}
	for name, tt := range map[string]struct {
		raw    string
		status int
	}{
		"a valid key":              {lines("GET /", good), 200},
		"a valid key and its body": {lines("POST /", good, "Content-Length: 4") + "body", 200},
		"no key":                   {lines("GET /"), 401},
		"garbage":                  {lines("GET /", "Authorization: Bearer x"), 401},
		"no key, body never comes": {lines("POST /", "Content-Length: 10"), 401},
	} {
		if a := g.send(t, tt.raw); a.status != tt.status {
			t.Errorf("%s, among slow clients: got status %d, want %d", name, a.status, tt.status)
		}
	}
	letGo()
	settled()
}
