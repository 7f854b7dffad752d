package remotestore_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/keyhatch/keyhatch/store"
	"github.com/keyhatch/keyhatch/store/memstore"
	"github.com/keyhatch/keyhatch/store/remotestore"
)

func bearer(secret []byte) string { return "Bearer " + base64.RawURLEncoding.EncodeToString(secret) }

// A touchyBody fails the test if it is read.
type touchyBody struct{ t *testing.T }

func (b touchyBody) Read([]byte) (int, error) {
	b.t.Error("the handler read the body")
	return 0, io.EOF
}

// T-13, advisory 25 (CVE-2020-36569), advisory 26 (CVE-2020-13945): neither side
// accepts an empty, short or constant secret.
func TestSecretsThatAreRefused(t *testing.T) {
	t.Parallel()
	for name, bad := range map[string][]byte{
		"none": nil, "empty": {}, "one byte": {'x'}, "31 bytes": []byte("0123456789012345678901234567890"),
		"zeros": make([]byte, 32), "many zeros": make([]byte, 64), "one byte repeated": bytes.Repeat([]byte{'k'}, 40),
		"too long": []byte(strings.Repeat("0123456789", 103)),
	} {
		_, client := remotestore.New("https://keys.internal", bad, nil)
		_, handler := remotestore.Handler(memstore.New(), bad, nil)
		_, older := remotestore.Handler(memstore.New(), secret, &remotestore.HandlerOptions{OlderSecrets: [][]byte{bad}})
		for what, err := range map[string]error{"New": client, "Handler": handler, "OlderSecrets": older} {
			if err == nil {
				t.Errorf("%s: got no error for a secret that is %s", what, name)
			} else if len(bad) > 4 && strings.Contains(err.Error(), string(bad[:4])) {
				t.Errorf("%s: the error contains the secret: %v", what, err)
			}
		}
	}
	if _, err := remotestore.Handler(nil, secret, nil); err == nil {
		t.Error("Handler accepted a nil store")
	}
}

// H-01, H-04: without the secret, the handler neither calls the store nor reads the
// body.
func TestHandlerChecksTheSecretFirst(t *testing.T) {
	t.Parallel()
	asked := &spyStore{Store: memstore.New()}
	h := newHandler(t, asked, nil)
	good := bearer(secret)
	other := bytes.Clone(secret)
	other[len(other)-1] ^= 1
	for name, values := range map[string][]string{
		"none": nil, "empty": {""}, "the scheme alone": {"Bearer "}, "another secret": {bearer(other)},
		"cut short": {good[:len(good)-1]}, "too long": {good + "A"}, "a trailing space": {good + " "},
		"padded": {good + "="}, "another scheme": {"Basic" + good[6:]}, "no scheme": {good[7:]},
		"as it is": {"Bearer " + string(secret)}, "another alphabet": {"Bearer " + base64.StdEncoding.EncodeToString(secret)},
		"twice": {good, good}, "two of which one is valid": {"Bearer x", good}, "a list": {good + ", " + good},
		"one mebibyte": {strings.Repeat("x", 1<<20)}, "another case": {"bearer" + good[6:]},
	} {
		for _, path := range []string{"/v1/lookup", "/v1/unknown", "/"} {
			for _, method := range []string{"POST", "GET"} {
				r := httptest.NewRequest(method, path, touchyBody{t})
				r.Header["Authorization"] = values
				r.Header.Set("Content-Type", contentType)
				w := httptest.NewRecorder()
				h.ServeHTTP(w, r)
				if w.Code != 401 || w.Body.Len() != 0 || w.Header().Get("WWW-Authenticate") != "Bearer" || w.Header().Get("Cache-Control") != "no-store" {
					t.Errorf("%s %s, secret %s: got %d %v %q, want 401 without a body", method, path, name, w.Code, w.Header(), w.Body)
				}
			}
		}
	}
	if asked.calls != 0 {
		t.Errorf("the store got %d calls, want 0", asked.calls)
	}
}

// A spyStore counts its look-ups.
type spyStore struct {
	store.Store
	calls int
}

func (s *spyStore) Lookup(ctx context.Context, d store.Digest) (store.Record, error) {
	s.calls++
	return s.Store.Lookup(ctx, d)
}

// T-12: the secret is replaced while clients with the old and the new one keep
// calling. The old one is refused once it is removed.
func TestSecretsRotate(t *testing.T) {
	t.Parallel()
	current := []byte("the new secret of the tests, 32 bytes")
	var mu sync.Mutex
	var h http.Handler
	url := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		h.ServeHTTP(w, r)
	}))
	st := populated(t)
	use := func(secret []byte, o *remotestore.HandlerOptions) {
		mu.Lock()
		defer mu.Unlock()
		var err error
		if h, err = remotestore.Handler(st, secret, o); err != nil {
			t.Fatal(err)
		}
	}
	ask := func(secret []byte) error {
		s, err := remotestore.New(url, secret, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		_, err = s.Lookup(t.Context(), digest("a"))
		return err
	}
	for step, c := range []struct {
		secret   []byte
		older    [][]byte
		old, new bool
	}{
		{secret, nil, true, false},
		{current, [][]byte{secret}, true, true},
		{secret, [][]byte{bytes.Repeat([]byte("another "), 5), current}, true, true},
		{current, nil, false, true},
	} {
		use(c.secret, &remotestore.HandlerOptions{OlderSecrets: c.older})
		for name, is := range map[string]struct {
			secret []byte
			good   bool
		}{"old": {secret, c.old}, "new": {current, c.new}} {
			err := ask(is.secret)
			if (err == nil) != is.good || isSentinel(err) {
				t.Errorf("step %d, %s secret: got %v, want accepted = %t", step, name, err, is.good)
			}
		}
	}
}

// H-02: a malformed request gets a status and no body.
func TestHandlerStatus(t *testing.T) {
	t.Parallel()
	h := newHandler(t, populated(t), nil)
	lookup := `{"digest":"` + hexDigest("a") + `"}`
	long := strings.Repeat(" ", 128<<10) + lookup
	for _, c := range []struct {
		name, method, path, kind, body string
		want                           int
	}{
		{"a request", "POST", "/v1/lookup", contentType, lookup, 200},
		{"spaces around", "POST", "/v1/lookup", contentType, " " + lookup + "\n", 400},
		{"the root", "POST", "/", contentType, lookup, 404},
		{"no version", "POST", "/lookup", contentType, lookup, 404},
		{"another version", "POST", "/v2/lookup", contentType, lookup, 404},
		{"no verb", "POST", "/v1/", contentType, lookup, 404},
		{"another verb", "POST", "/v1/delete", contentType, lookup, 404},
		{"more path", "POST", "/v1/lookup/", contentType, lookup, 404},
		{"another case", "POST", "/v1/Lookup", contentType, lookup, 404},
		{"GET", "GET", "/v1/lookup", contentType, lookup, 405},
		{"PUT", "PUT", "/v1/touch", contentType, lookup, 405},
		{"OPTIONS", "OPTIONS", "/v1/lookup", "", "", 405},
		{"no type", "POST", "/v1/lookup", "", lookup, 415},
		{"a form", "POST", "/v1/lookup", "application/x-www-form-urlencoded", lookup, 415},
		{"the type of JSON", "POST", "/v1/lookup", "application/json", lookup, 415},
		{"too long", "POST", "/v1/lookup", contentType, long, 413},
		{"empty", "POST", "/v1/lookup", contentType, "", 400},
		{"null", "POST", "/v1/lookup", contentType, "null", 400},
		{"no field", "POST", "/v1/lookup", contentType, "{}", 400},
		{"a token", "POST", "/v1/lookup", contentType, `{"token":"key_x"}`, 400},
		{"trailing data", "POST", "/v1/lookup", contentType, lookup + "x", 400},
		{"twice", "POST", "/v1/lookup", contentType, lookup + lookup, 400},
		{"a short digest", "POST", "/v1/lookup", contentType, `{"digest":"ab"}`, 400},
		{"not UTF-8", "POST", "/v1/get", contentType, "{\"owner\":\"o\xff\",\"id\":\"a\"}", 400},
		{"half a pair", "POST", "/v1/get", contentType, `{"owner":"o\ud800","id":"a"}`, 400},
		{"a pair in escapes", "POST", "/v1/get", contentType, `{"owner":"o","id":"\ud83d\udd11\\ud800"}`, 400},
		{"an owner twice", "POST", "/v1/get", contentType, `{"owner":"x","owner":"o","id":"a"}`, 400},
		{"an owner in upper case", "POST", "/v1/get", contentType, `{"Owner":"o","id":"a"}`, 400},
		{"an owner that is null", "POST", "/v1/get", contentType, `{"owner":null,"id":"a"}`, 400},
		{"a limit in fractions", "POST", "/v1/list", contentType, `{"owner":"o","limit":1.5}`, 400},
		{"a list of all", "POST", "/v1/list", contentType, `{"owner":"o","limit":1}`, 200},
		{"a filtered list", "POST", "/v1/list", contentType, `{"owner":"o","limit":1,"filter":"current","at":1}`, 200},
		{"a filter that is unknown", "POST", "/v1/list", contentType, `{"owner":"o","limit":1,"filter":"dead","at":1}`, 400},
		{"a filter that is empty", "POST", "/v1/list", contentType, `{"owner":"o","limit":1,"filter":"","at":1}`, 400},
		{"a filter that is null", "POST", "/v1/list", contentType, `{"owner":"o","limit":1,"filter":null,"at":1}`, 400},
		{"a filter without a time", "POST", "/v1/list", contentType, `{"owner":"o","limit":1,"filter":"ended"}`, 400},
		{"a filter at null", "POST", "/v1/list", contentType, `{"owner":"o","limit":1,"filter":"ended","at":null}`, 400},
		{"a time without a filter", "POST", "/v1/list", contentType, `{"owner":"o","limit":1,"at":1}`, 400},
		{"a filter before the limit", "POST", "/v1/list", contentType, `{"owner":"o","filter":"current","at":1,"limit":1}`, 400},
		{"an insert of nothing", "POST", "/v1/insert", contentType, `{"limit":5}`, 400},
		{"an insert without a limit", "POST", "/v1/insert", contentType,
			`{"record":{"id":"x","owner":"o","digest":"` + hexDigest("x") + `","created_at":1}}`, 400},
		{"an insert without a digest", "POST", "/v1/insert", contentType, `{"record":{"id":"x","owner":"o","created_at":1},"limit":5}`, 400},
		{"an insert of zeros", "POST", "/v1/insert", contentType,
			`{"record":{"id":"x","owner":"o","digest":"` + strings.Repeat("0", 64) + `","created_at":1},"limit":5}`, 400},
		{"a change of the digest", "POST", "/v1/update", contentType, `{"owner":"o","id":"a","change":{"digest":"x"}}`, 400},
		{"a revocation without a time", "POST", "/v1/revoke", contentType, `{"owner":"o","id":"a","reason":""}`, 400},
		{"a revocation at null", "POST", "/v1/revoke", contentType, `{"owner":"o","id":"a","at":null,"reason":""}`, 400},
		{"a revocation of all without a time", "POST", "/v1/revoke_all", contentType, `{"owner":"o","reason":""}`, 400},
		{"a rotation to nothing", "POST", "/v1/rotate", contentType, `{"owner":"o","id":"a","old_ends_at":1}`, 400},
		{"a rotation to zeros", "POST", "/v1/rotate", contentType,
			`{"owner":"o","id":"a","next":{"id":"n","digest":"` + strings.Repeat("0", 64) + `","hint":"","created_at":1},"old_ends_at":1}`, 400},
		{"no uses", "POST", "/v1/touch", contentType, `{}`, 400},
		{"uses that are null", "POST", "/v1/touch", contentType, `{"uses":null}`, 400},
		{"a use without a time", "POST", "/v1/touch", contentType, `{"uses":[{"digest":"` + hexDigest("a") + `"}]}`, 400},
		{"uses out of order", "POST", "/v1/touch", contentType, uses("ff", "00"), 400},
		{"a use twice", "POST", "/v1/touch", contentType, uses("ab", "ab"), 400},
		{"uses in order", "POST", "/v1/touch", contentType, uses("00", "ab", "ff"), 200},
		{"too many uses", "POST", "/v1/touch", contentType, manyUses(1001), 400},
		{"the maximum number of uses", "POST", "/v1/touch", contentType, manyUses(1000), 200},
	} {
		for _, chunked := range []bool{false, true} {
			r := httptest.NewRequest(c.method, c.path, strings.NewReader(c.body))
			if chunked {
				r.ContentLength = -1
			}
			r.Header = http.Header{"Authorization": {bearer(secret)}}
			if c.kind != "" {
				r.Header.Set("Content-Type", c.kind)
			}
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			if w.Code != c.want {
				t.Errorf("%s: got %d %s, want %d", c.name, w.Code, w.Body, c.want)
			}
			ours := c.want == 200
			if (w.Header().Get("Content-Type") == contentType) != ours || (w.Body.Len() > 0) != ours {
				t.Errorf("%s: got %v %q, want a response with our content type and a body = %t", c.name, w.Header(), w.Body, ours)
			}
			if c.want == 405 && w.Header().Get("Allow") != "POST" {
				t.Errorf("%s: got Allow %q, want POST", c.name, w.Header().Get("Allow"))
			}
		}
	}
}

// A request whose Content-Length is too large is refused before its body is read.
func TestLongRequestIsNotRead(t *testing.T) {
	t.Parallel()
	r := httptest.NewRequest("POST", "/v1/lookup", touchyBody{t})
	r.ContentLength = 128<<10 + 1
	r.Header = http.Header{"Authorization": {bearer(secret)}, "Content-Type": {contentType}}
	w := httptest.NewRecorder()
	if newHandler(t, memstore.New(), nil).ServeHTTP(w, r); w.Code != 413 {
		t.Errorf("got status %d, want 413", w.Code)
	}
}

func uses(bytes ...string) string {
	var list []string
	for _, b := range bytes {
		list = append(list, `{"digest":"`+strings.Repeat(b, 32)+`","at":1}`)
	}
	return `{"uses":[` + strings.Join(list, ",") + `]}`
}

func manyUses(n int) string {
	var list []string
	for i := range n {
		list = append(list, fmt.Sprintf(`{"digest":"%064x","at":-62135596799999999}`, i+1))
	}
	return `{"uses":[` + strings.Join(list, ",") + `]}`
}

// A fixedStore returns the given error, record and page.
type fixedStore struct {
	store.Store
	err     error
	record  store.Record
	page    store.Page
	started chan struct{} // if set, calls wait until their context ends
}

func (s *fixedStore) end(ctx context.Context) error {
	if s.started != nil {
		s.started <- struct{}{}
		<-ctx.Done()
		return cmp.Or(s.err, ctx.Err())
	}
	return s.err
}

func (s *fixedStore) Insert(ctx context.Context, _ store.Record, _ int) error { return s.end(ctx) }
func (s *fixedStore) Lookup(ctx context.Context, _ store.Digest) (store.Record, error) {
	return s.record, s.end(ctx)
}
func (s *fixedStore) Get(ctx context.Context, _, _ string) (store.Record, error) {
	return s.record, s.end(ctx)
}
func (s *fixedStore) List(ctx context.Context, _ store.Query) (store.Page, error) {
	return s.page, s.end(ctx)
}
func (s *fixedStore) Count(ctx context.Context, _ string, _ time.Time) (int, error) {
	return 7, s.end(ctx)
}
func (s *fixedStore) Update(ctx context.Context, _, _ string, _ store.Change) (store.Record, error) {
	return s.record, s.end(ctx)
}
func (s *fixedStore) Revoke(ctx context.Context, _, _ string, _ time.Time, _ string) (store.Record, bool, error) {
	return s.record, true, s.end(ctx)
}
func (s *fixedStore) RevokeAll(ctx context.Context, _ string, _ time.Time, _ string) ([]store.Record, error) {
	return s.page.Records, s.end(ctx)
}
func (s *fixedStore) Rotate(ctx context.Context, _, _ string, _ store.Record, _ time.Time, _ int) (old, now store.Record, err error) {
	return s.record, s.record, s.end(ctx)
}
func (s *fixedStore) Touch(ctx context.Context, _ []store.Use) error { return s.end(ctx) }

// M-01: the client returns each sentinel that the method may return, and tells
// another owner's key from an unknown one. Every other error counts as an outage, and its
// message stays on the server.
func TestErrorsOverHTTP(t *testing.T) {
	t.Parallel()
	const words = "pq: password of keeper is wrong"
	for _, v := range verbs {
		for _, failure := range append([]error{errors.New(words), context.Canceled}, sentinels...) {
			var logged bytes.Buffer
			logger := slog.New(slog.NewTextHandler(&logged, nil))
			st := &fixedStore{err: fmt.Errorf("keeper: %w", failure)}
			var response string
			h := newHandler(t, st, &remotestore.HandlerOptions{Logger: logger})
			url := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				rec := httptest.NewRecorder()
				h.ServeHTTP(rec, r)
				response = fmt.Sprint(rec.Code, rec.Header(), rec.Body)
				for name, values := range rec.Header() {
					w.Header()[name] = values
				}
				w.WriteHeader(rec.Code)
				w.Write(rec.Body.Bytes())
			}))
			got, err := v.call(t.Context(), newStore(t, url, nil))
			if known(v, failure) {
				want := failure
				if v.name == "lookup" && failure != store.ErrBusy {
					want = store.ErrNotFound
				}
				if err != want {
					t.Errorf("%s: error of the client: got %[3]v, want the store's %[2]v", v.name, failure, err)
				}
				if logged.Len() > 0 {
					t.Errorf("%s: got %v logged as an error: %s", v.name, failure, &logged)
				}
				continue
			}
			outage(t, got, err)
			if err == nil {
				continue
			}
			if !strings.HasPrefix(response, "503 ") || strings.Contains(response, "keeper") || strings.Contains(err.Error(), "keeper") {
				t.Errorf("%s: the store returned %v: got response %s and error %v, want 503 without the store's message", v.name, failure, response, err)
			}
			if !strings.Contains(logged.String(), "keeper") || !strings.Contains(logged.String(), "ERROR") || !strings.Contains(logged.String(), v.name) {
				t.Errorf("%s: the log does not contain the store's error: %s", v.name, &logged)
			}
			if strings.Contains(err.Error(), "may or may not have happened") != v.writes {
				t.Errorf("%s: error %q says that it may have happened: got %t, want %t", v.name, err, !v.writes, v.writes)
			}
		}
	}
}

// known reports whether the verb may return the error. Lookup takes no owner, so it
// never returns ErrOwnerMismatch.
func known(v verb, err error) bool {
	return slices.ContainsFunc(append(v.sentinel, store.ErrBusy), func(s error) bool { return errors.Is(err, s) })
}

// Invariant 9: a service whose store is too busy says so while the client still
// waits. Other responses with the status 503 are outages.
func TestBusyService(t *testing.T) {
	for _, v := range verbs {
		synctest.Test(t, func(t *testing.T) {
			h := newHandler(t, &fixedStore{err: store.ErrBusy, started: make(chan struct{}, 1)}, nil)
			s := newStore(t, "http://localhost", &remotestore.Options{Transport: transport(func(r *http.Request) *http.Response {
				w := httptest.NewRecorder()
				h.ServeHTTP(w, r)
				return w.Result()
			})})
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			if got, err := v.call(ctx, s); err != store.ErrBusy || ctx.Err() != nil {
				t.Errorf("%s of a store that is busy until its context ends: got %v, %v, want ErrBusy before the client gives up", v.name, got, err)
			}
		})
	}
}

// the handler does not send an invalid record that the store returns.
func TestBrokenStores(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(*store.Record){
		"a zero record":      func(r *store.Record) { *r = store.Record{} },
		"no id":              func(r *store.Record) { r.ID = "" },
		"no owner":           func(r *store.Record) { r.Owner = "" },
		"no digest":          func(r *store.Record) { r.Digest = store.Digest{} },
		"never created":      func(r *store.Record) { r.CreatedAt = time.Time{} },
		"a broken string":    func(r *store.Record) { r.Name = "\xff" },
		"a broken scope":     func(r *store.Record) { r.Scopes = []string{"\xff"} },
		"broken metadata":    func(r *store.Record) { r.Metadata = map[string]string{"\xff": ""} },
		"the year 10000":     func(r *store.Record) { r.ExpiresAt = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC) },
		"before all years":   func(r *store.Record) { r.RevokedAt = time.Date(0, 1, 1, 0, 0, 0, 0, time.UTC) },
		"a name of mebibyte": func(r *store.Record) { r.Name = strings.Repeat("x", 1<<20) },
	} {
		r := fresh("o", "a")
		spoil(&r)
		all := []store.Record{fresh("o", "b"), r}
		h := newHandler(t, &fixedStore{record: r, page: store.Page{Records: all}}, nil)
		statuses := map[string]int{}
		s := newStore(t, serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			rec := httptest.NewRecorder()
			h.ServeHTTP(rec, r)
			statuses[r.URL.Path] = rec.Code
			w.WriteHeader(rec.Code)
		})), nil)
		for _, v := range verbs {
			if slices.Contains([]string{"insert", "touch", "count"}, v.name) || name == "a name of mebibyte" && strings.HasSuffix(v.name, "l") || strings.HasPrefix(v.name, "li") {
				continue // returns no record, or may return many
			}
			got, err := v.call(t.Context(), s)
			outage(t, got, err)
			if status := statuses["/v1/"+v.name]; status != 503 {
				t.Errorf("%s, store returns %s: got status %d, want 503", v.name, name, status)
			}
		}
	}
	server := httptest.NewUnstartedServer(newHandler(t, struct{ store.Store }{}, nil))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.Start()
	defer server.Close()
	panics := newStore(t, server.URL, nil)
	for _, v := range verbs {
		got, err := v.call(t.Context(), panics)
		outage(t, got, err)
	}
}

// A client that disconnects cancels its store call.
func TestDisconnectCancelsTheStore(t *testing.T) {
	t.Parallel()
	st := &fixedStore{started: make(chan struct{})}
	h := newHandler(t, st, nil)
	ended := make(chan error, 1)
	s := newStore(t, serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.ServeHTTP(w, r)
		ended <- r.Context().Err()
	})), nil)
	for _, v := range verbs {
		ctx, cancel := context.WithCancel(t.Context())
		result := make(chan error, 1)
		go func() {
			_, err := v.call(ctx, s)
			result <- err
		}()
		<-st.started
		cancel()
		if err := <-ended; err == nil {
			t.Errorf("%s: the context of the store call did not end", v.name)
		}
		if err := <-result; !errors.Is(err, context.Canceled) || isSentinel(err) {
			t.Errorf("%s: got %v, want context.Canceled", v.name, err)
		}
	}
}

// H-10: no log, error or printed value contains the secret.
func TestSecretStaysHidden(t *testing.T) {
	t.Parallel()
	var logged bytes.Buffer
	logger := slog.New(slog.NewJSONHandler(&logged, &slog.HandlerOptions{Level: slog.LevelDebug}))
	current := []byte("the new secret of the tests, 32 bytes")
	h, err := remotestore.Handler(&fixedStore{err: errors.New("down")}, current, &remotestore.HandlerOptions{Logger: logger})
	if err != nil {
		t.Fatal(err)
	}
	s := newStore(t, serve(t, h), nil)
	var out strings.Builder
	for _, v := range verbs {
		_, err := v.call(t.Context(), s)
		fmt.Fprintln(&out, err)
	}
	for _, v := range []any{s, *s, h, struct{ s *remotestore.Store }{s}} {
		encoded, _ := json.Marshal(v)
		fmt.Fprintf(&out, "%v %+v %#v %s %q %x %d %s\n", v, v, v, v, v, v, v, encoded)
	}
	if !strings.Contains(logged.String(), "without a valid secret") {
		t.Errorf("a rejected secret was not logged: %s", &logged)
	}
	for _, secret := range [][]byte{secret, current} {
		for _, form := range []string{
			string(secret), bearer(secret)[7:], fmt.Sprintf("%x", secret), fmt.Sprintf("%x", bearer(secret)[7:]), fmt.Sprint(secret)[1:40],
		} {
			if strings.Contains(out.String()+logged.String(), form) {
				t.Errorf("the output contains the secret as %q", form)
			}
		}
	}
}
