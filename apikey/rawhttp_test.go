package apikey_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"fmt"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/keyhatch/keyhatch/apikey"
	"github.com/keyhatch/keyhatch/store/memstore"
)

// A gate is a real server with one handler inside Require. The handler responds with the
// Principal's owner.
type gate struct {
	*apikey.Manager
	store  *spyStore
	events recorder
	ran    atomic.Int64 // calls of the handler
	log    lockedBuffer // of the server
	server *httptest.Server
}

// newGate replaces OnEvent.
func newGate(t *testing.T, opts apikey.Options, scopes ...string) *gate {
	t.Helper()
	return newGateOver(t, &spyStore{Store: memstore.New()}, opts, scopes...)
}

func newGateOver(t *testing.T, st *spyStore, opts apikey.Options, scopes ...string) *gate {
	t.Helper()
	g := &gate{store: st}
	g.server = httptest.NewUnstartedServer(g.handler(t, opts, scopes))
	g.server.Config.ErrorLog = log.New(&g.log, "", 0)
	g.server.Start()
	t.Cleanup(g.server.Close)
	return g
}

func (g *gate) handler(t *testing.T, opts apikey.Options, scopes []string) http.Handler {
	t.Helper()
	opts.OnEvent = g.events.record
	g.Manager = newManager(t, g.store, &opts)
	return g.Require(scopes...)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		g.ran.Add(1)
		_, _ = io.WriteString(w, apikey.MustPrincipal(r.Context()).Owner())
	}))
}

// reasons returns the reasons of the events since the last call.
func (g *gate) reasons() []apikey.Reason {
	var reasons []apikey.Reason
	for _, e := range g.events.take() {
		if e.Kind == apikey.EventRefused || e.Kind == apikey.EventRevokedKeyUsed {
			reasons = append(reasons, e.Reason)
		}
	}
	return reasons
}

// send sends raw on a new connection and returns the response.
func (g *gate) send(t testing.TB, raw string) wireResponse {
	t.Helper()
	return send(t, g.server.Listener.Addr().String(), raw)
}

// A wireResponse is a response as received.
type wireResponse struct {
	status int
	header http.Header
	body   string
	raw    string // without Date, the header lines sorted
}

func send(t testing.TB, addr, raw string) wireResponse {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(30 * time.Second))
	// A server may respond and close the connection before it has read everything.
	_, _ = io.WriteString(conn, raw)
	return readResponse(t, conn, strings.HasPrefix(raw, "HEAD "))
}

func readResponse(t testing.TB, conn io.Reader, head bool) wireResponse {
	t.Helper()
	all, _ := io.ReadAll(conn)
	lines, body, _ := strings.Cut(string(all), "\r\n\r\n")
	fields := strings.Split(lines, "\r\n")
	kept := slices.DeleteFunc(fields[1:], func(s string) bool { return strings.HasPrefix(s, "Date: ") })
	slices.Sort(kept)
	a := wireResponse{body: body, raw: strings.Join(append(fields[:1], kept...), "\n") + "\n\n" + body}
	method := http.MethodGet
	if head {
		method = http.MethodHead
	}
	resp, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(all)), &http.Request{Method: method})
	if err != nil {
		t.Fatalf("got %q instead of a response: %v", all, err)
	}
	a.status, a.header = resp.StatusCode, resp.Header
	return a
}

// lines returns a request with the given first line and header lines.
func lines(first string, header ...string) string {
	return first + " HTTP/1.1\r\nHost: test\r\nConnection: close\r\n" +
		strings.Join(append(header, "", ""), "\r\n")
}

// A lockedBuffer is a log that can be read while it is written.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// anything matches every credential that the middleware accepts, so that only the
// middleware protects the store.
var anything = []*regexp.Regexp{regexp.MustCompile(`(?s).+`)}

// H-04, H-05, H-13, T-07, advisories 10, 25 (CVE-2020-36569), 31
// (GHSA-xmf8-cvqr-rfgj) and 34 (CVE-2024-45410): headers that Go's server accepts or
// refuses. <G> and <O> are valid tokens, <U> is unknown.
func TestRawHeaders(t *testing.T) {
	t.Parallel()
	const none = apikey.Reason("")
	g := newGate(t, apikey.Options{Headers: []string{"Authorization", "X-API-Key"}, LegacyFormats: anything})
	good, other := create(t, g.Manager, "owner1"), create(t, g.Manager, "owner1")
	tokens := strings.NewReplacer("<G>", good.Secret.Reveal(), "<O>", other.Secret.Reveal(), "<U>", newForger("key", false).forge())
	big := strings.Repeat("a", 1<<20)
	fill := func(n int) string { return strings.Repeat("a", n) }

	for _, tt := range []struct {
		name   string
		header []string
		status int
		reason apikey.Reason // empty if the request is accepted, or refused by the server
		looks  int64         // look-ups of the store
	}{
		{"valid", []string{"Authorization: Bearer <G>"}, 200, none, 1},
		{"lower case", []string{"authorization: bearer <G>"}, 200, none, 0},
		{"upper case", []string{"AUTHORIZATION: BEARER <G>"}, 200, none, 0},
		{"spaces around", []string{"Authorization:   Bearer   <G>   "}, 200, none, 0},
		{"tab before", []string{"Authorization:\tBearer <G>\t"}, 200, none, 0},
		{"no space after the colon", []string{"Authorization:Bearer <G>"}, 200, none, 0},
		{"valid in X-API-Key", []string{"X-API-Key: <G>"}, 200, none, 0},
		{"lower case x-api-key", []string{"x-api-key: <G>"}, 200, none, 0},
		{"unknown", []string{"Authorization: Bearer <U>"}, 401, apikey.ReasonUnknown, 1},

		{"two lines, good first", []string{"Authorization: Bearer <G>", "Authorization: Bearer <U>"}, 400, apikey.ReasonAmbiguous, 0},
		{"two lines, good last", []string{"Authorization: Bearer <U>", "Authorization: Bearer <G>"}, 400, apikey.ReasonAmbiguous, 0},
		{"two lines, both good", []string{"Authorization: Bearer <G>", "Authorization: Bearer <O>"}, 400, apikey.ReasonAmbiguous, 0},
		{"two lines, the same", []string{"Authorization: Bearer <G>", "Authorization: Bearer <G>"}, 400, apikey.ReasonAmbiguous, 0},
		{"two lines, in lower and upper case", []string{"authorization: Bearer <G>", "AUTHORIZATION: Bearer <U>"}, 400, apikey.ReasonAmbiguous, 0},
		{"two lines apart", []string{"Authorization: Bearer <G>", "Accept: */*", "Authorization: Bearer <G>"}, 400, apikey.ReasonAmbiguous, 0},
		{"two lines, one empty", []string{"Authorization:", "Authorization: Bearer <G>"}, 400, apikey.ReasonAmbiguous, 0},
		{"two lines, last empty", []string{"Authorization: Bearer <G>", "Authorization:"}, 400, apikey.ReasonAmbiguous, 0},
		{"two lines, another scheme", []string{"Authorization: Basic YTpi", "Authorization: Bearer <G>"}, 400, apikey.ReasonAmbiguous, 0},
		{"three lines", []string{"Authorization: Bearer <G>", "Authorization: Bearer <G>", "Authorization: Bearer <G>"}, 400, apikey.ReasonAmbiguous, 0},
		{"X-API-Key twice", []string{"X-API-Key: <G>", "X-API-Key: <O>"}, 400, apikey.ReasonAmbiguous, 0},
		{"x-api-key in two cases", []string{"X-API-Key: <G>", "x-api-key: <G>"}, 400, apikey.ReasonAmbiguous, 0},
		{"two carriers", []string{"Authorization: Bearer <G>", "X-API-Key: <G>"}, 400, apikey.ReasonAmbiguous, 0},
		{"two carriers, the other order", []string{"X-API-Key: <O>", "Authorization: Bearer <G>"}, 400, apikey.ReasonAmbiguous, 0},
		{"two carriers, one unknown", []string{"Authorization: Bearer <U>", "X-API-Key: <G>"}, 400, apikey.ReasonAmbiguous, 0},
		{"another scheme with a key", []string{"Authorization: Basic YTpi", "X-API-Key: <G>"}, 200, none, 0},
		{"another scheme with a key, the other way round", []string{"X-API-Key: <G>", "Authorization: Digest username=\"a\", realm=\"b\""}, 200, none, 0},
		{"another scheme with an unknown key", []string{"Authorization: Basic YTpi", "X-API-Key: xyz"}, 401, apikey.ReasonUnknown, 1},
		{"a token that lacks its scheme with a key", []string{"Authorization: <G>", "X-API-Key: <G>"}, 400, apikey.ReasonAmbiguous, 0},
		{"an empty scheme with a key", []string{"Authorization:", "X-API-Key: <G>"}, 400, apikey.ReasonAmbiguous, 0},
		{"Bearer alone with a key", []string{"Authorization: Bearer", "X-API-Key: <G>"}, 400, apikey.ReasonAmbiguous, 0},
		{"another scheme twice with a key", []string{"Authorization: Basic YTpi", "Authorization: Basic YTpi", "X-API-Key: <G>"}, 400, apikey.ReasonAmbiguous, 0},
		{"two carriers, one empty", []string{"Authorization: Bearer <G>", "X-API-Key:"}, 400, apikey.ReasonAmbiguous, 0},
		{"two carriers, the first empty", []string{"Authorization:", "X-API-Key: <G>"}, 400, apikey.ReasonAmbiguous, 0},

		{"none", nil, 401, apikey.ReasonMissing, 0},
		{"empty", []string{"Authorization:"}, 401, apikey.ReasonMalformed, 0},
		{"blank", []string{"Authorization: \t "}, 401, apikey.ReasonMalformed, 0},
		{"scheme alone", []string{"Authorization: Bearer"}, 401, apikey.ReasonMalformed, 0},
		{"scheme and a space", []string{"Authorization: Bearer "}, 401, apikey.ReasonMalformed, 0},
		{"no scheme", []string{"Authorization: <G>"}, 401, apikey.ReasonMissing, 0},
		{"scheme glued on", []string{"Authorization: Bearer<G>"}, 401, apikey.ReasonMissing, 0},
		{"tab after the scheme", []string{"Authorization: Bearer\tG"}, 401, apikey.ReasonMalformed, 0},
		{"other scheme", []string{"Authorization: Basic <G>"}, 401, apikey.ReasonMissing, 0},
		{"colon after the scheme", []string{"Authorization: Bearer: <G>"}, 401, apikey.ReasonMalformed, 0},
		{"empty X-API-Key", []string{"X-API-Key:"}, 401, apikey.ReasonMalformed, 0},
		{"scheme in X-API-Key", []string{"X-API-Key: Bearer <G>"}, 401, apikey.ReasonMalformed, 0},
		{"joined by a proxy", []string{"Authorization: Bearer <G>, Bearer <O>"}, 401, apikey.ReasonMalformed, 0},
		{"two tokens", []string{"Authorization: Bearer <G> <O>"}, 401, apikey.ReasonMalformed, 0},
		{"scheme twice", []string{"Authorization: Bearer Bearer <G>"}, 401, apikey.ReasonMalformed, 0},
		{"tokens joined by a proxy", []string{"X-API-Key: <G>, <O>"}, 401, apikey.ReasonMalformed, 0},

		{"folded before the token's end", []string{"Authorization: Bearer <G>\r\n folded"}, 401, apikey.ReasonMalformed, 0},
		{"folded by a tab", []string{"Authorization: Bearer <G>\r\n\tfolded"}, 401, apikey.ReasonMalformed, 0},
		{"folded X-API-Key", []string{"X-API-Key: <G>\r\n <O>"}, 401, apikey.ReasonMalformed, 0},
		{"folded second credential", []string{"X-API-Key: <G>\r\n Authorization: Bearer <O>"}, 401, apikey.ReasonMalformed, 0},
		// The server has replaced it by a single space.
		{"folded after the scheme", []string{"Authorization: Bearer\r\n <G>"}, 200, none, 0},
		{"non-ASCII", []string{"Authorization: Bearer <G>\xff\xfe"}, 401, apikey.ReasonMalformed, 0},
		{"non-ASCII scheme", []string{"Authorization: B\xc3\xa9arer <G>"}, 401, apikey.ReasonMalformed, 0},
		{"no-break space", []string{"Authorization: Bearer\xc2\xa0<G>"}, 401, apikey.ReasonMalformed, 0},
		{"look-alike", []string{"X-API-Key: \xd0\xbaey_0"}, 401, apikey.ReasonMalformed, 0},
		{"tab inside", []string{"X-API-Key: <G>\tx"}, 401, apikey.ReasonMalformed, 0},
		{"NUL", []string{"Authorization: Bearer <G>\x00"}, 400, none, 0},
		{"control character", []string{"Authorization: Bearer <G>\x01"}, 400, none, 0},
		{"delete character", []string{"X-API-Key: <G>\x7f"}, 400, none, 0},
		{"bare CR", []string{"X-API-Key: <G>\rx"}, 400, none, 0},
		{"512 bytes", []string{"Authorization: Bearer " + fill(512)}, 401, apikey.ReasonUnknown, 1},
		{"513 bytes", []string{"Authorization: Bearer " + fill(513)}, 401, apikey.ReasonMalformed, 0},
		{"513 bytes in X-API-Key", []string{"X-API-Key: " + fill(513)}, 401, apikey.ReasonMalformed, 0},
		{"1 MiB", []string{"Authorization: Bearer " + big}, 401, apikey.ReasonMalformed, 0},
		{"1 MiB without a scheme", []string{"Authorization: " + big}, 401, apikey.ReasonMalformed, 0},
		{"1 MiB of spaces", []string{"Authorization: Bearer " + strings.Repeat(" ", 1<<20) + "<G>"}, 401, apikey.ReasonMalformed, 0},
		{"1 MiB in X-API-Key", []string{"X-API-Key: " + big}, 401, apikey.ReasonMalformed, 0},
		{"more than the server takes", []string{"Authorization: Bearer " + big + big}, 431, none, 0},

		{"space before the colon", []string{"Authorization : Bearer <G>"}, 400, none, 0}, // CVE-2019-16276
		{"tab before the colon", []string{"X-API-Key\t: <G>"}, 400, none, 0},
		{"X_API_KEY", []string{"X_API_KEY: <G>"}, 401, apikey.ReasonMissing, 0},
		{"X_API_KEY and X-API-Key", []string{"X_API_KEY: <U>", "X-API-Key: <G>"}, 200, none, 0},
		{"other header", []string{"X-Auth-Token: <G>", "Api-Key: <G>", "Proxy-Authorization: Bearer <G>"}, 401, apikey.ReasonMissing, 0},
		{"Connection names the credential", []string{"Connection: authorization, x-api-key, x-owner", "Authorization: Bearer <G>"}, 200, none, 0},
		{"Connection names X-API-Key", []string{"Connection: authorization, x-api-key, x-owner", "X-API-Key: <G>"}, 200, none, 0},
		{"Connection names a header that is missing", []string{"Connection: authorization, x-api-key, x-owner", "X-Owner: admin"}, 401, apikey.ReasonMissing, 0},
		{"identity headers", []string{"X-Owner: admin", "X-Forwarded-User: admin", "Authorization: Bearer <G>"}, 200, none, 0},
		{"identity headers alone", []string{"X-Owner: owner1", "X-Forwarded-User: owner1", "X-Principal: owner1"}, 401, apikey.ReasonMissing, 0},
	} {
		g.events.take()
		ran, looked := g.ran.Load(), g.store.lookups.Load()
		a := g.send(t, tokens.Replace(lines("GET /", tt.header...)))
		if a.status != tt.status {
			t.Errorf("%s: got status %d, want %d", tt.name, a.status, tt.status)
		}
		if tt.status == 200 && a.body != "owner1" {
			t.Errorf("%s: owner of the Principal: got %q, want the key's owner", tt.name, a.body)
		}
		if n := g.ran.Load() - ran; (n == 1) != (tt.status == 200) || n > 1 {
			t.Errorf("%s: runs of the protected handler: got %d", tt.name, n)
		}
		if n := g.store.lookups.Load() - looked; n != tt.looks {
			t.Errorf("%s: got %d look-ups in the store, want %d", tt.name, n, tt.looks)
		}
		if got := g.reasons(); tt.reason == none && len(got) != 0 || tt.reason != none && !slices.Equal(got, []apikey.Reason{tt.reason}) {
			t.Errorf("%s: got events with the reasons %q, want %q", tt.name, got, tt.reason)
		}
	}
}

// H-13 and advisory 34 (CVE-2024-45410, CVE-2026-29054, CVE-2022-23652): a proxy in front
// removes the headers that Connection names. If it removes the credential, the request is
// unauthenticated.
func TestConnectionTricksBehindAProxy(t *testing.T) {
	t.Parallel()
	g := newGate(t, apikey.Options{Headers: []string{"Authorization", "X-API-Key"}})
	good := create(t, g.Manager, "owner1").Secret.Reveal()
	origin, err := url.Parse(g.server.URL)
	if err != nil {
		t.Fatal(err)
	}
	front := httptest.NewServer(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(origin)
		r.Out.Header.Set("X-Owner", "admin")
	}})
	defer front.Close()
	for _, tt := range []struct {
		name, header string
		connection   string
		status       int
	}{
		{"plain", "Authorization: Bearer " + good, "close", 200},
		{"stripped", "Authorization: Bearer " + good, "close, authorization, x-api-key, x-owner", 401},
		{"stripped X-API-Key", "X-API-Key: " + good, "close, X-API-Key", 401},
		{"identity stripped", "Authorization: Bearer " + good, "close, x-owner", 200},
	} {
		before := g.ran.Load()
		a := send(t, front.Listener.Addr().String(), "GET / HTTP/1.1\r\nHost: test\r\nConnection: "+tt.connection+"\r\n"+tt.header+"\r\n\r\n")
		if a.status != tt.status || tt.status == 200 && a.body != "owner1" {
			t.Errorf("%s: got %d %q, want %d, with the key's owner if it is 200", tt.name, a.status, a.body, tt.status)
		}
		if n := g.ran.Load() - before; (n == 1) != (tt.status == 200) {
			t.Errorf("%s: runs of the protected handler: got %d", tt.name, n)
		}
	}
}

// newGateH2 serves HTTP/2 over TLS.
func newGateH2(t *testing.T, opts apikey.Options) *gate {
	t.Helper()
	g := &gate{store: &spyStore{Store: memstore.New()}}
	g.server = httptest.NewUnstartedServer(g.handler(t, opts, nil))
	g.server.EnableHTTP2 = true
	g.server.Config.ErrorLog = log.New(&g.log, "", 0)
	g.server.StartTLS()
	t.Cleanup(g.server.Close)
	return g
}

// H-04, H-05 over HTTP/2, where header names are in lower case and fields are in a
// compressed block. The test writes the block itself, since Go's client would not send
// most of these fields.
func TestRawHeadersHTTP2(t *testing.T) {
	t.Parallel()
	const reset = 0 // the server reset the stream
	g := newGateH2(t, apikey.Options{Headers: []string{"Authorization", "X-API-Key"}, LegacyFormats: anything})
	good, other := create(t, g.Manager, "owner1").Secret.Reveal(), create(t, g.Manager, "owner1").Secret.Reveal()
	bearer := "Bearer " + good
	long := strings.Repeat("a", 513)
	for _, tt := range []struct {
		name   string
		fields []string // names and values, alternating
		status int
		reason apikey.Reason
		looks  int64
	}{
		{"valid", []string{"authorization", bearer}, 200, "", 1},
		{"valid x-api-key", []string{"x-api-key", good}, 200, "", 0},
		{"none", nil, 401, apikey.ReasonMissing, 0},
		{"twice", []string{"authorization", bearer, "authorization", "Bearer " + other}, 400, apikey.ReasonAmbiguous, 0},
		{"twice the same", []string{"authorization", bearer, "authorization", bearer}, 400, apikey.ReasonAmbiguous, 0},
		{"twice, apart", []string{"authorization", bearer, "accept", "*/*", "authorization", bearer}, 400, apikey.ReasonAmbiguous, 0},
		{"twice, one empty", []string{"authorization", "", "authorization", bearer}, 400, apikey.ReasonAmbiguous, 0},
		{"x-api-key twice", []string{"x-api-key", good, "x-api-key", other}, 400, apikey.ReasonAmbiguous, 0},
		{"two carriers", []string{"authorization", bearer, "x-api-key", good}, 400, apikey.ReasonAmbiguous, 0},
		{"two carriers, one empty", []string{"authorization", bearer, "x-api-key", ""}, 400, apikey.ReasonAmbiguous, 0},
		{"empty", []string{"authorization", ""}, 401, apikey.ReasonMalformed, 0},
		{"non-ASCII", []string{"x-api-key", good + "\xff"}, 401, apikey.ReasonMalformed, 0},
		{"tab", []string{"x-api-key", good + "\tx"}, 401, apikey.ReasonMalformed, 0},
		{"spaces around", []string{"x-api-key", " " + good + " "}, 401, apikey.ReasonMalformed, 0},
		{"513 bytes", []string{"authorization", "Bearer " + long}, 401, apikey.ReasonMalformed, 0},
		{"x_api_key", []string{"x_api_key", good}, 401, apikey.ReasonMissing, 0},
		{"identity headers", []string{"authorization", bearer, "x-owner", "admin"}, 200, "", 0},
		{"line break", []string{"x-api-key", good + "\r\nx-owner: admin"}, reset, "", 0},
		{"NUL", []string{"x-api-key", good + "\x00"}, reset, "", 0},
		{"upper case name", []string{"Authorization", bearer}, reset, "", 0},
		{"connection", []string{"authorization", bearer, "connection", "authorization"}, 400, "", 0},
	} {
		g.events.take()
		ran, looked := g.ran.Load(), g.store.lookups.Load()
		if status := sendHTTP2(t, g.server, tt.fields); status != tt.status {
			t.Errorf("%s: got status %d, want %d", tt.name, status, tt.status)
		}
		if n := g.ran.Load() - ran; (n == 1) != (tt.status == 200) || n > 1 {
			t.Errorf("%s: runs of the protected handler: got %d", tt.name, n)
		}
		if n := g.store.lookups.Load() - looked; n != tt.looks {
			t.Errorf("%s: got %d look-ups in the store, want %d", tt.name, n, tt.looks)
		}
		if got := g.reasons(); tt.reason == "" && len(got) != 0 || tt.reason != "" && !slices.Equal(got, []apikey.Reason{tt.reason}) {
			t.Errorf("%s: got events with the reasons %q, want %q", tt.name, got, tt.reason)
		}
	}
}

// Go's own client gets the same responses, including the bodies.
func TestHTTP2Responses(t *testing.T) {
	t.Parallel()
	opts := apikey.Options{Headers: []string{"Authorization", "X-API-Key"}}
	h1, h2 := newGate(t, opts), newGateH2(t, opts)
	headers := map[string]http.Header{
		"none":         {},
		"garbage":      {"Authorization": {"Bearer garbage"}},
		"twice":        {"Authorization": {"Bearer a", "Bearer b"}},
		"two carriers": {"Authorization": {"Bearer a"}, "X-Api-Key": {"b"}},
	}
	for name, h := range headers {
		var responses []string
		for _, g := range []*gate{h1, h2} {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, g.server.URL, nil)
			if err != nil {
				t.Fatal(err)
			}
			r.Header = maps.Clone(h)
			resp, err := g.server.Client().Do(r)
			if err != nil {
				t.Fatal(err)
			}
			body, _ := io.ReadAll(resp.Body)
			resp.Body.Close()
			resp.Header.Del("Date")
			responses = append(responses, fmt.Sprintf("%d %v %s", resp.StatusCode, resp.Header, body))
			if g == h2 && resp.ProtoMajor != 2 {
				t.Fatalf("protocol: got %s, want HTTP/2", resp.Proto)
			}
		}
		if responses[0] != responses[1] {
			t.Errorf("%s: got over HTTP/2\n%s, want the same as over HTTP/1.1\n%s", name, responses[1], responses[0])
		}
	}
}

// sendHTTP2 sends one request on a new connection and returns the status, or 0 if the server
// reset the stream or the connection.
func sendHTTP2(t *testing.T, s *httptest.Server, fields []string) int {
	t.Helper()
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate())
	dialer := tls.Dialer{Config: &tls.Config{RootCAs: roots, ServerName: "example.com", NextProtos: []string{"h2"}}}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	conn, err := dialer.DialContext(ctx, "tcp", s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(30 * time.Second))

	var block []byte
	all := append([]string{":method", "GET", ":scheme", "https", ":authority", "test", ":path", "/"}, fields...)
	for pair := range slices.Chunk(all, 2) {
		// A literal field without indexing (RFC 7541, section 6.2.2).
		block = append(block, 0)
		block = appendLiteral(block, pair[0])
		block = appendLiteral(block, pair[1])
	}
	const settings, headers, rstStream, goAway = 4, 1, 3, 7
	out := []byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
	out = appendFrame(out, settings, 0, 0, nil)
	out = appendFrame(out, headers, 0x5, 1, block) // END_STREAM, END_HEADERS
	if _, err := conn.Write(out); err != nil {
		t.Fatal(err)
	}
	for in := bufio.NewReader(conn); ; {
		var head [9]byte
		if _, err := io.ReadFull(in, head[:]); err != nil {
			return 0
		}
		payload := make([]byte, int(head[0])<<16|int(head[1])<<8|int(head[2]))
		if _, err := io.ReadFull(in, payload); err != nil {
			return 0
		}
		switch head[3] {
		case rstStream, goAway:
			return 0
		case headers:
			return statusOf(t, payload)
		}
	}
}

// appendLiteral appends a string that is not Huffman-coded (RFC 7541, section
// 5.2).
func appendLiteral(b []byte, s string) []byte {
	const most = 1<<7 - 1
	if len(s) < most {
		return append(append(b, byte(len(s))), s...)
	}
	b = binary.AppendUvarint(append(b, most), uint64(len(s)-most))
	return append(b, s...)
}

func appendFrame(b []byte, kind, flags byte, stream uint32, payload []byte) []byte {
	n := len(payload)
	b = append(b, byte(n>>16), byte(n>>8), byte(n), kind, flags)
	b = binary.BigEndian.AppendUint32(b, stream)
	return append(b, payload...)
}

// statusOf returns :status, the first field. Go's server writes it as an index of the static
// table, or as a literal whose name is at index 8 to 14.
func statusOf(t *testing.T, block []byte) int {
	t.Helper()
	static := map[byte]int{0x88: 200, 0x89: 204, 0x8a: 206, 0x8b: 304, 0x8c: 400, 0x8d: 404, 0x8e: 500}
	if status, ok := static[block[0]]; ok {
		return status
	}
	if len(block) > 4 && block[0] >= 0x48 && block[0] <= 0x4e {
		if bytes.HasPrefix(block[1:], []byte{0x82, 0x68, 0x01}) { // "401", Huffman-coded
			return 401
		}
		if status, err := strconv.Atoi(string(block[2:5])); err == nil && block[1] == 3 {
			return status
		}
	}
	t.Fatalf("no status in %x", block[:min(len(block), 8)])
	return 0
}
