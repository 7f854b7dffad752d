package remotestore_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/keyhatch/keyhatch/store"
	"github.com/keyhatch/keyhatch/store/remotestore"
)

func TestBaseURL(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		url            string
		good, insecure bool // insecure: accepted only with InsecureHTTP
	}{
		{"https://keys.internal", true, false},
		{"https://keys.internal:8443/keyhatch/", true, false},
		{"HTTPS://keys.internal", true, false},
		{"https://[2001:db8::1]", true, false},
		{"http://localhost:8080", true, false},
		{"http://127.0.0.1:8080", true, false},
		{"http://127.1.2.3", true, false},
		{"http://[::1]:8080/keys", true, false},
		{"http://[::ffff:127.0.0.1]", true, false},
		{"http://keys.internal", false, true},
		{"http://10.0.0.1:80", false, true},
		{"http://0.0.0.0", false, true},
		{"http://127.0.0.1.example.com", false, true},
		{"http://localhost.example.com", false, true},
		{"http://[::]", false, true},
		{"", false, false},
		{"keys.internal", false, false},
		{"keys.internal:443", false, false},
		{"//keys.internal", false, false},
		{"/v1", false, false},
		{"https:", false, false},
		{"https://", false, false},
		{"https://:443", false, false},
		{"https:keys.internal", false, false},
		{"ftp://keys.internal", false, false},
		{"unix:///run/keys.sock", false, false},
		{"https://user:hunter2@keys.internal", false, false},
		{"https://hunter2@keys.internal", false, false},
		{"https://@keys.internal", false, false},
		{"https://keys.internal?a=hunter2", false, false},
		{"https://keys.internal?", false, false},
		{"https://keys.internal#hunter2", false, false},
		{"https://keys.internal#", false, false},
		{"https://u:hunter2@keys.internal:port", false, false},
		{"https://keys.internal/%zz", false, false},
		{"https://keys.internal/\nhunter2", false, false},
	} {
		for _, insecure := range []bool{false, true} {
			_, err := remotestore.New(c.url, secret, &remotestore.Options{InsecureHTTP: insecure})
			if want := c.good || c.insecure && insecure; (err == nil) != want {
				t.Errorf("New(%q), InsecureHTTP %t: got error %v, want accepted = %t", c.url, insecure, err, want)
			}
			if err != nil && strings.Contains(err.Error(), "hunter2") {
				t.Errorf("New(%q): the error may contain the password: %v", c.url, err)
			}
		}
	}
}

func TestOptionsThatAreRefused(t *testing.T) {
	t.Parallel()
	for field, o := range map[string]*remotestore.Options{
		"Timeout": {Timeout: -1},
		"TLS":     {TLS: &tls.Config{}, Transport: http.DefaultTransport},
	} {
		if _, err := remotestore.New("https://keys.internal", secret, o); err == nil || !strings.Contains(err.Error(), "Options."+field) {
			t.Errorf("%+v: got %v, want an error that contains %s", o, err, field)
		}
	}
}

// The secret is not sent to a server whose certificate the client does not trust.
func TestUnknownCertificate(t *testing.T) {
	t.Parallel()
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the client sent a request to an untrusted server") }))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	defer server.Close()
	for _, v := range verbs {
		got, err := v.call(t.Context(), newStore(t, server.URL, nil))
		outage(t, got, err)
	}
}

// New and Handler copy the secret: changing it afterwards has no effect.
func TestSecretIsCopied(t *testing.T) {
	t.Parallel()
	mine := bytes.Clone(secret)
	h, err := remotestore.Handler(populated(t), mine, nil)
	if err != nil {
		t.Fatal(err)
	}
	s, err := remotestore.New(serve(t, h), mine, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	clear(mine)
	if _, err := s.Lookup(t.Context(), digest("a")); err != nil {
		t.Error(err)
	}
}

// A request has the secret in its Authorization header, and no unexpected headers. The body
// of a look-up contains only the digest.
func TestRequests(t *testing.T) {
	t.Parallel()
	h := newHandler(t, populated(t), nil)
	var got *http.Request
	var sent []byte
	s := newStore(t, serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = r.Clone(context.Background())
		sent, _ = io.ReadAll(r.Body)
		r.Body = io.NopCloser(bytes.NewReader(sent))
		h.ServeHTTP(w, r)
	})), nil)
	for _, v := range verbs {
		if _, err := v.call(t.Context(), s); err != nil && v.name != "rotate" { // a is revoked by now
			t.Errorf("%s: %v", v.name, err)
		}
		if got.Method != "POST" || got.URL.String() != "/v1/"+v.name || int64(len(sent)) != got.ContentLength {
			t.Errorf("%s: got %s %s of %d bytes, want a POST to /v1/ and the name", v.name, got.Method, got.URL, got.ContentLength)
		}
		want := http.Header{
			"Authorization": {bearer(secret)}, "Content-Type": {contentType}, "Accept": {contentType},
			"Accept-Encoding": {"identity"}, "User-Agent": {"Go-http-client/1.1"}, "Content-Length": {fmt.Sprint(len(sent))},
		}
		if ms, err := strconv.Atoi(got.Header.Get("Keyhatch-Timeout")); err != nil || ms < 1 || ms > 57_000 {
			t.Errorf("%s: got a timeout of %d ms, %v, want less than the minute that the client waits", v.name, ms, err)
		}
		got.Header.Del("Keyhatch-Timeout")
		if fmt.Sprint(got.Header) != fmt.Sprint(want) {
			t.Errorf("%s: got header %v, want %v", v.name, got.Header, want)
		}
	}
	_, _ = s.Lookup(t.Context(), digest("a"))
	if want := `{"digest":"` + hexDigest("a") + `"}`; string(sent) != want {
		t.Errorf("got request %s, want %s", sent, want)
	}
}

// Advisory 22 (CVE-2022-31130): the client does not follow a redirect, which could
// send the secret to another host.
func TestRedirectsAreNotFollowed(t *testing.T) {
	t.Parallel()
	var reached atomic.Int64
	h := newHandler(t, populated(t), nil)
	elsewhere := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		reached.Add(1)
		h.ServeHTTP(w, r)
	}))
	for _, status := range []int{301, 302, 303, 307, 308} {
		s := newStore(t, serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.HasPrefix(r.URL.Path, "/here") {
				reached.Add(1)
			}
			to := elsewhere + r.URL.Path
			if r.URL.Path == "/v1/get" {
				to = "/here/v1/get"
			}
			w.Header().Set("Location", to)
			w.Header().Set("Content-Type", contentType)
			w.WriteHeader(status)
		})), nil)
		for _, v := range verbs {
			got, err := v.call(t.Context(), s)
			outage(t, got, err)
		}
	}
	if reached.Load() != 0 {
		t.Errorf("redirects that the client followed: got %d, want 0", reached.Load())
	}
}

// The environment's proxy would see the secret if the scheme is http.
func TestProxyOfTheEnvironmentIsNotUsed(t *testing.T) {
	var asked atomic.Int64
	proxy := serve(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Add(1) }))
	for _, name := range []string{"HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy"} {
		t.Setenv(name, proxy)
	}
	// 192.0.2.0/24 is reserved for documentation (RFC 5737).
	s := newStore(t, "http://192.0.2.1:9", &remotestore.Options{InsecureHTTP: true, Timeout: 50 * time.Millisecond})
	got, err := verbs[1].call(t.Context(), s)
	outage(t, got, err)
	if asked.Load() != 0 {
		t.Errorf("the proxy got %d requests, want 0", asked.Load())
	}
}

// a call never takes longer than its timeout, whether the server is slow,
// stops or sends without end, and does not leak a goroutine.
func TestSlowAndEndlessResponses(t *testing.T) {
	done := make(chan struct{}) // stops the servers after all calls have returned
	response := func(status int, kind string) func(http.ResponseWriter) *http.ResponseController {
		return func(w http.ResponseWriter) *http.ResponseController {
			w.Header().Set("Content-Type", kind)
			w.WriteHeader(status)
			c := http.NewResponseController(w)
			c.Flush()
			return c
		}
	}
	wait := func(r *http.Request) {
		select {
		case <-r.Context().Done():
		case <-done:
		}
	}
	servers := map[string]http.HandlerFunc{
		"no response": func(w http.ResponseWriter, r *http.Request) { io.Copy(io.Discard, r.Body); wait(r) },
		"a header alone": func(w http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body)
			response(200, contentType)(w)
			wait(r)
		},
		"half a response": func(w http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body)
			c := response(200, contentType)(w)
			io.WriteString(w, `{"record":{"id":"a"`)
			c.Flush()
			wait(r)
		},
		"a code and no end": func(w http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body)
			c := response(404, contentType)(w)
			io.WriteString(w, `{"code":"not_found"}`)
			c.Flush()
			wait(r)
		},
		"a body without end": func(w http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body)
			response(200, contentType)(w)
			for r.Context().Err() == nil {
				if _, err := w.Write(bytes.Repeat([]byte(" "), 64<<10)); err != nil {
					return
				}
			}
		},
		"a page without end": func(w http.ResponseWriter, r *http.Request) {
			response(200, "text/html")(w)
			for r.Context().Err() == nil {
				if _, err := w.Write(bytes.Repeat([]byte(" "), 64<<10)); err != nil {
					return
				}
			}
		},
		"a length that is not kept": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "100000000000")
			response(200, contentType)(w)
			wait(r)
		},
	}
	before := runtime.NumGoroutine()
	for name, h := range servers {
		server := httptest.NewServer(h)
		s := newStore(t, server.URL, &remotestore.Options{Timeout: 60 * time.Millisecond})
		for _, v := range verbs {
			got, err := v.call(t.Context(), s)
			if err == nil || isSentinel(err) {
				t.Errorf("%s, %s: the call failed:", name, v.name)
			}
			outage(t, got, err)
		}
		s.Close()
		server.CloseClientConnections()
		server.Close()
	}
	close(done)
	settled(t, before)
}

// settled waits until at most as many goroutines run as before.
func settled(t *testing.T, before int) {
	t.Helper()
	n := 0
	for range 1000 {
		if n = runtime.NumGoroutine(); n <= before {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	stacks := make([]byte, 1<<20)
	t.Errorf("got %d goroutines, want at most %d:\n%s", n, before, stacks[:runtime.Stack(stacks, true)])
}

// A response that is too long is refused at once. It is neither read until the
// timeout nor kept in memory.
func TestResponsesAreBounded(t *testing.T) {
	t.Parallel()
	const much = 64 << 20
	var written atomic.Int64
	done := make(chan struct{})
	for name, h := range map[string]http.HandlerFunc{
		"a body of 64 MiB": func(w http.ResponseWriter, _ *http.Request) {
			for written.Load() < much {
				n, err := w.Write(bytes.Repeat([]byte(" "), 64<<10))
				if written.Add(int64(n)); err != nil {
					return
				}
			}
		},
		"a length that is too long": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "70000")
			w.WriteHeader(200)
			http.NewResponseController(w).Flush()
			<-done
		},
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body)
			w.Header().Set("Content-Type", contentType)
			h(w, r)
		}))
		defer server.Close()
		got, err := verbs[1].call(t.Context(), newStore(t, server.URL, &remotestore.Options{Timeout: 15 * time.Second}))
		outage(t, got, err)
		if err == nil || !strings.Contains(err.Error(), "longer than 65536 bytes") {
			t.Errorf("%s: got %v, want an error with the bound", name, err)
		}
	}
	close(done)
	if n := written.Load(); n >= much {
		t.Errorf("bytes that the client read: got %d, want little more than the bound", n)
	}
}

// A hand-written server sends header lines without end.
func TestEndlessHeader(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() { listener.Close(); <-done })
	var written atomic.Int64
	go func() {
		defer close(done)
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			io.WriteString(conn, "HTTP/1.1 200 OK\r\n")
			for err == nil {
				var n int
				n, err = io.WriteString(conn, "X-More: "+strings.Repeat("x", 4000)+"\r\n")
				written.Add(int64(n))
			}
			conn.Close()
		}
	}()
	s := newStore(t, "http://"+listener.Addr().String(), nil)
	got, err := verbs[1].call(t.Context(), s)
	outage(t, got, err)
	if errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the client read the header until the timeout: %v", err)
	}
}

// A write is sent once, even if its response is lost.
func TestWritesAreNotRepeated(t *testing.T) {
	t.Parallel()
	for _, v := range verbs {
		if !v.writes {
			continue
		}
		var asked atomic.Int64
		h := newHandler(t, populated(t), nil)
		s := newStore(t, serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if asked.Add(1) == 1 {
				h.ServeHTTP(w, r) // the connection must be one that has worked before
				return
			}
			h.ServeHTTP(httptest.NewRecorder(), r)
			conn, _, _ := w.(http.Hijacker).Hijack()
			conn.Close()
		})), nil)
		_, _ = s.Get(t.Context(), "o", "b")
		got, err := v.call(t.Context(), s)
		outage(t, got, err)
		if asked.Load() != 2 {
			t.Errorf("%s: got %d requests, want 1", v.name, asked.Load()-1)
		}
		if err == nil || !strings.Contains(err.Error(), "may or may not have happened") {
			t.Errorf("%s, response lost: got %v, want an error that says it may have happened", v.name, err)
		}
	}
}

// JSON would change a string that is not UTF-8, perhaps to another owner's name. A
// time outside the years 1 to 9999 would be lost.
func TestInvalidTextsAndTimesAreNotSent(t *testing.T) {
	t.Parallel()
	s := newStore(t, serve(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the client sent a request") })), nil)
	const bad = "o\xff"
	ctx, far := t.Context(), time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)
	text := bad
	record := func(change func(*store.Record)) error {
		r := fresh("o", "x")
		change(&r)
		return s.Insert(ctx, r, 5)
	}
	_, get1 := s.Get(ctx, bad, "a")
	_, get2 := s.Get(ctx, "o", bad)
	_, list1 := s.List(ctx, store.Query{Owner: bad})
	_, list2 := s.List(ctx, store.Query{Owner: "o", After: store.Cursor{ID: bad}})
	_, list3 := s.List(ctx, store.Query{Owner: "o", After: store.Cursor{ID: "a", CreatedAt: far}})
	_, count1 := s.Count(ctx, bad, begin)
	_, count2 := s.Count(ctx, "o", far)
	_, update1 := s.Update(ctx, bad, "a", store.Change{})
	_, update2 := s.Update(ctx, "o", "a", store.Change{Name: &text})
	_, update3 := s.Update(ctx, "o", "a", store.Change{Scopes: []string{bad}})
	_, update4 := s.Update(ctx, "o", "a", store.Change{Metadata: map[string]string{bad: ""}})
	_, update5 := s.Update(ctx, "o", "a", store.Change{ExpiresAt: &far})
	_, _, revoke1 := s.Revoke(ctx, "o", bad, begin, "")
	_, _, revoke2 := s.Revoke(ctx, "o", "a", begin, bad)
	_, all1 := s.RevokeAll(ctx, bad, begin, "")
	_, all2 := s.RevokeAll(ctx, "o", far, "")
	_, _, rotate1 := s.Rotate(ctx, bad, "a", next("n"), begin, -1)
	_, _, rotate2 := s.Rotate(ctx, "o", "a", store.Record{ID: bad, Digest: digest("n"), CreatedAt: begin}, begin, -1)
	_, _, rotate3 := s.Rotate(ctx, "o", "a", next("n"), far, -1)
	for i, err := range []error{
		get1, get2, list1, list2, list3, count1, count2, update1, update2, update3, update4, update5, revoke1, revoke2, all1, all2, rotate1, rotate2, rotate3,
		record(func(r *store.Record) { r.Owner = bad }), record(func(r *store.Record) { r.Hint = bad }),
		record(func(r *store.Record) { r.Metadata = map[string]string{"": bad} }), record(func(r *store.Record) { r.ExpiresAt = far }),
		record(func(r *store.Record) { r.CreatedBy = strings.Repeat("x", 129<<10) }), record(func(r *store.Record) { *r = store.Record{} }),
		s.Touch(ctx, []store.Use{{Digest: digest("a"), At: far}}),
	} {
		if err == nil || isSentinel(err) || !strings.Contains(err.Error(), "nothing was sent") {
			t.Errorf("call %d: got %v, want an error that says that nothing was sent", i, err)
		}
	}
}

// Reads succeed although the service has closed the idle connection.
func TestIdleConnectionThatWasClosed(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(newHandler(t, populated(t), nil))
	defer server.Close()
	s := newStore(t, server.URL, nil)
	for range 50 {
		if _, err := s.Lookup(t.Context(), digest("a")); err != nil {
			t.Fatal(err)
		}
		server.CloseClientConnections()
	}
}

// Waiting calls share the connections, and all succeed.
func TestManyCallsShareFewConnections(t *testing.T) {
	t.Parallel()
	var open, most atomic.Int64
	server := httptest.NewUnstartedServer(newHandler(t, populated(t), nil))
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		switch state {
		case http.StateNew:
			n := open.Add(1)
			for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
			}
		case http.StateClosed, http.StateHijacked:
			open.Add(-1)
		}
	}
	server.Start()
	defer server.Close()
	s := newStore(t, server.URL, nil)
	errs := make(chan error)
	for range 500 {
		go func() {
			_, err := s.Lookup(context.Background(), digest("a"))
			errs <- err
		}()
	}
	for range 500 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	if most.Load() > 64 {
		t.Errorf("got %d open connections, want at most 64", most.Load())
	}
}
