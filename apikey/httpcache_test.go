package apikey_test

import (
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/textproto"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/keyhatch/keyhatch/apikey"
	"github.com/keyhatch/keyhatch/internal/testkit"
	"github.com/keyhatch/keyhatch/store/memstore"
)

// An httpCache is a small CDN. It stores every response that RFC 9111 allows a shared cache
// to store, and uses it whenever it may. No response becomes stale.
type httpCache struct {
	origin *httptest.Server

	mu     sync.Mutex
	stored map[string][]storedResponse // by URL
	hits   int

	ignoreVary bool // as some CDNs do
}

type storedResponse struct {
	status int
	header http.Header
	body   []byte
	vary   map[string]string // the request's values of the fields in Vary
}

func (c *httpCache) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	cacheable := r.Method == http.MethodGet || r.Method == http.MethodHead
	if cacheable {
		if s, ok := c.find(r); ok {
			maps.Copy(w.Header(), s.header)
			w.Header().Set("X-Cache", "hit")
			w.WriteHeader(s.status)
			_, _ = w.Write(s.body)
			return
		}
	}
	out, err := http.NewRequestWithContext(r.Context(), r.Method, c.origin.URL+r.URL.RequestURI(), r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	out.Header = r.Header.Clone()
	resp, err := c.origin.Client().Do(out)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	if cacheable && storable(r, resp) {
		c.keep(r, resp, body)
	}
	maps.Copy(w.Header(), resp.Header)
	w.WriteHeader(resp.StatusCode)
	_, _ = w.Write(body)
}

// find returns a stored response whose Vary fields match the request (section 4.1).
func (c *httpCache) find(r *http.Request) (storedResponse, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
candidates:
	for _, s := range c.stored[r.Method+r.URL.String()] {
		for name, value := range s.vary {
			if strings.Join(r.Header[name], ", ") != value {
				continue candidates
			}
		}
		c.hits++
		return s, true
	}
	return storedResponse{}, false
}

func (c *httpCache) keep(r *http.Request, resp *http.Response, body []byte) {
	vary := map[string]string{}
	for name := range members(resp.Header["Vary"]) {
		if c.ignoreVary {
			break
		}
		name = textproto.CanonicalMIMEHeaderKey(name)
		vary[name] = strings.Join(r.Header[name], ", ")
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	key := r.Method + r.URL.String()
	c.stored[key] = append(c.stored[key], storedResponse{resp.StatusCode, resp.Header.Clone(), body, vary})
}

// storable implements section 3 of RFC 9111 for a shared cache, and section 4.2.2 for the
// statuses that may be stored without an explicit lifetime.
func storable(r *http.Request, resp *http.Response) bool {
	cc := members(resp.Header["Cache-Control"])
	if targeted := resp.Header["Cdn-Cache-Control"]; targeted != nil {
		cc = members(targeted) // RFC 9213
	}
	has := func(directive string) bool { _, ok := cc[directive]; return ok }
	lifetime := func(directive string) bool { n, err := strconv.Atoi(cc[directive]); return err == nil && n > 0 }
	_, varyAny := members(resp.Header["Vary"])["*"]
	switch {
	case has("no-store"), has("private"), has("no-cache"), varyAny:
		return false
	case r.Header["Authorization"] != nil && !has("public") && !has("s-maxage") && !has("must-revalidate"):
		return false
	case has("public"), lifetime("max-age"), lifetime("s-maxage"), resp.Header.Get("Expires") != "":
		return true
	}
	switch resp.StatusCode {
	case 200, 203, 204, 206, 300, 301, 308, 404, 405, 410, 414, 501:
		return true
	}
	return false
}

// members returns the members of a list field, in lower case, with their arguments.
func members(values []string) map[string]string {
	list := map[string]string{}
	for member := range strings.SplitSeq(strings.Join(values, ","), ",") {
		name, argument, _ := strings.Cut(strings.ToLower(strings.TrimSpace(member)), "=")
		if name != "" {
			list[name] = argument
		}
	}
	return list
}

// cachedRoutes lists handlers with different caching headers. Some headers allow a shared cache to
// store the response to a request with Authorization.
var cachedRoutes = []struct {
	path    string
	headers func(http.Header)
}{
	{"/silent", func(http.Header) {}},
	{"/dated", func(h http.Header) { h.Set("Last-Modified", "Mon, 02 Jan 2006 15:04:05 GMT"); h.Set("Etag", `"1"`) }},
	{"/expires", func(h http.Header) { h.Set("Expires", "Thu, 01 Jan 2099 00:00:00 GMT") }},
	{"/maxage", func(h http.Header) { h.Set("Cache-Control", "max-age=3600") }},
	{"/adds", func(h http.Header) { h.Add("Cache-Control", "max-age=3600"); h.Add("Vary", "Accept") }},
	{"/public", func(h http.Header) { h.Set("Cache-Control", "public, max-age=3600") }},
	{"/smaxage", func(h http.Header) { h.Set("Cache-Control", "s-maxage=3600") }},
	{"/revalidate", func(h http.Header) { h.Set("Cache-Control", "max-age=3600, must-revalidate") }},
	{"/targeted", func(h http.Header) { h.Set("CDN-Cache-Control", "max-age=3600") }},
	{"/field", func(h http.Header) { h.Set("Cache-Control", `private="Set-Cookie", public, max-age=3600`) }},
	{"/lower", func(h http.Header) {
		h["Cache-Control"] = nil
		h["cache-control"] = []string{"public, max-age=3600"}
	}},
	{"/vary", func(h http.Header) { h.Set("Cache-Control", "max-age=3600"); h.Set("Vary", "Accept-Encoding") }},
	{"/missing", func(http.Header) {}}, // 404
}

// H-11: with a shared HTTP cache in front, no owner gets another owner's response, and no request
// without a valid key gets a response.
func TestHTTPCache(t *testing.T) {
	t.Parallel()
	m := newManager(t, memstore.New(), &apikey.Options{Headers: []string{"Authorization", "X-API-Key"}})
	crossed, hits := soakHTTPCache(t, m, m.Require(), both)
	t.Logf("%d hits, %d of them another owner's", hits, crossed)
	if crossed != 0 {
		t.Errorf("responses of other owners from the cache: got %d, want 0", crossed)
	}
	if hits == 0 {
		t.Error("the cache had no hits, so this test tests nothing")
	}
}

// H-11: if a request has its token in a header other than Authorization, the response is
// private, whichever caching headers the handler sets and however it writes the response. So even a cache that ignores Vary
// gives no owner another owner's response.
func TestHTTPCacheThatIgnoresVary(t *testing.T) {
	t.Parallel()
	for name, send := range map[string]func(w http.ResponseWriter, status int, body string){
		"WriteHeader": writeResponse,
		"WriteString": func(w http.ResponseWriter, _ int, body string) { _, _ = w.(io.StringWriter).WriteString(body) },
		"ReadFrom": func(w http.ResponseWriter, _ int, body string) {
			_, _ = w.(io.ReaderFrom).ReadFrom(strings.NewReader(body))
		},
		"Flush": func(w http.ResponseWriter, _ int, body string) {
			w.(http.Flusher).Flush()
			_, _ = io.WriteString(w, body)
		},
		"ResponseController": func(w http.ResponseWriter, _ int, body string) {
			_ = http.NewResponseController(w).Flush()
			_, _ = io.WriteString(w, body)
		},
		"informational": func(w http.ResponseWriter, status int, body string) {
			w.WriteHeader(http.StatusEarlyHints)
			w.Header().Set("Cache-Control", "max-age=3600")
			writeResponse(w, status, body)
		},
		"nothing": func(w http.ResponseWriter, _ int, body string) { w.Header().Set("X-Owner", body) },
	} {
		t.Run(name, func(t *testing.T) {
			m := newManager(t, memstore.New(), &apikey.Options{Headers: []string{"Authorization", "X-API-Key"}})
			crossed, hits := soakHTTPCache(t, m, m.Require(), caching{ignoreVary: true, apiKeyOnly: true, send: send})
			if crossed != 0 || hits != 0 {
				t.Errorf("got %d cache hits for X-API-Key, %d of them another owner's, want 0", hits, crossed)
			}
		})
	}
}

// caching configures soakHTTPCache.
type caching struct {
	ignoreVary, apiKeyOnly bool
	send                   func(w http.ResponseWriter, status int, body string)
}

var both = caching{send: writeResponse}

func writeResponse(w http.ResponseWriter, status int, body string) {
	w.WriteHeader(status)
	_, _ = io.WriteString(w, body)
}

// Control of TestHTTPCache: a middleware that sets no response headers.
func TestHTTPCacheCatchesNaiveMiddleware(t *testing.T) {
	t.Parallel()
	m := newManager(t, memstore.New(), &apikey.Options{Headers: []string{"Authorization", "X-API-Key"}})
	crossed, _ := soakHTTPCache(t, m, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, err := m.ValidateRequest(r)
			if err != nil {
				w.WriteHeader(apikey.StatusCode(err))
				return
			}
			m.Require()(next).ServeHTTP(headerlessWriter{w}, r)
		})
	}, both)
	if crossed == 0 {
		t.Error("the cache never confused owners of a middleware without headers, so this test tests nothing")
	}
}

// A headerlessWriter removes the middleware's caching headers.
type headerlessWriter struct{ http.ResponseWriter }

func (w headerlessWriter) WriteHeader(status int) {
	if cc := w.Header()["Cache-Control"]; len(cc) > 0 && cc[0] == "private" {
		w.Header()["Cache-Control"] = cc[1:]
	}
	w.Header().Del("Vary")
	w.ResponseWriter.WriteHeader(status)
}

// soakHTTPCache sends valid and invalid requests of many owners through a shared HTTP cache
// and counts the responses that belong to another owner.
func soakHTTPCache(t *testing.T, m *apikey.Manager, require func(http.Handler) http.Handler, how caching) (crossed, hits int) {
	t.Helper()
	mux := http.NewServeMux()
	for _, route := range cachedRoutes {
		mux.Handle(route.path, require(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			route.headers(w.Header())
			status := http.StatusOK
			if route.path == "/missing" {
				status = http.StatusNotFound
			}
			how.send(w, status, apikey.MustPrincipal(r.Context()).Owner())
		})))
	}
	origin := httptest.NewServer(mux)
	defer origin.Close()
	cache := &httpCache{origin: origin, stored: map[string][]storedResponse{}, ignoreVary: how.ignoreVary}
	front := httptest.NewServer(cache)
	defer front.Close()

	type caller struct{ name, token string }
	var callers []caller
	for i := range 20 {
		name := fmt.Sprintf("owner%02d", i)
		issued := create(t, m, name)
		if i%5 == 4 { // an invalid key
			if _, err := m.Revoke(t.Context(), name, issued.Key.ID, ""); err != nil {
				t.Fatal(err)
			}
			name = ""
		}
		callers = append(callers, caller{name, issued.Secret.Reveal()})
	}
	callers = append(callers, caller{"", "garbage"}, caller{"", ""})

	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 4}, Timeout: 30 * time.Second}
	defer client.CloseIdleConnections()
	var (
		wg sync.WaitGroup
		mu sync.Mutex
	)
	for range 4 {
		wg.Go(func() {
			for range testkit.Trials(800, 100_000) / 4 { // even with the race detector, since few requests hit
				who, route := callers[rand.IntN(len(callers))], cachedRoutes[rand.IntN(len(cachedRoutes))]
				// Few URLs, so that all owners request the same ones.
				r, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, front.URL+route.path+"?page="+strconv.Itoa(rand.IntN(2)), nil)
				switch {
				case who.token == "":
				case how.apiKeyOnly || rand.IntN(2) == 0:
					r.Header.Set("X-API-Key", who.token)
				default:
					r.Header.Set("Authorization", "Bearer "+who.token)
				}
				resp, err := client.Do(r)
				if err != nil {
					t.Error(err)
					return
				}
				body, err := io.ReadAll(resp.Body)
				resp.Body.Close()
				refused := resp.StatusCode == http.StatusUnauthorized
				if owner := resp.Header.Get("X-Owner"); owner != "" {
					body = []byte(owner)
				}
				if err != nil || refused != (who.name == "") || !refused && string(body) != who.name {
					mu.Lock()
					crossed++
					mu.Unlock()
				}
			}
		})
	}
	wg.Wait()
	return crossed, cache.hits
}
