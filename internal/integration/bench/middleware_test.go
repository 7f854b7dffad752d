package bench_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"

	"github.com/keyhatch/keyhatch/apikey"
	"github.com/keyhatch/keyhatch/store/memstore"
)

// BenchmarkMiddleware measures what a middleware adds to a handler that does nothing.
func BenchmarkMiddleware(b *testing.B) {
	t := newTable("What a middleware adds to a request, 1,000 keys", "", "ns", "to SHA-256", "allocations", "bytes")
	b.Run("all", func(b *testing.B) {
		m := newManager(b, memstore.New(), 1_250, apikey.Options{})
		tokens := create(m, 1_000)
		fill(m, tokens)
		validate := withLRU(tokens, refuse)
		// A server has just read the request, so all use the same one, with another token each.
		request, credentials := newRequest("/reports", ""), make([]string, len(tokens))
		for i, token := range tokens {
			credentials[i] = "Bearer " + token
		}
		nothing := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
		serve := func(name string, h http.Handler) program {
			w := &discard{header: http.Header{}}
			return program{name: name, call: func(i int) error {
				clear(w.header) // each response has its own header
				request.Header["Authorization"][0] = credentials[i%len(credentials)]
				h.ServeHTTP(w, request)
				return w.err
			}}
		}
		programs := []program{
			floor(tokens), serve("nothing", nothing), serve("nothing in echo", newEcho()),
			serve("keyhatch: Require", m.Require("reports:read")(nothing)),
			serve("golang-lru by hand", requireByHand(validate, nothing)),
			serve("echo KeyAuth, golang-lru by hand", newEcho(keyAuth(validate))),
		}
		bare := []int{0, 0, 0, 1, 1, 2} // index of the program without the middleware; 0 if there is none
		times := inTurn(b, 1, 1<<11, programs...)
		for i, p := range programs {
			allocs, bytes := allocated(1<<14, p.call)
			if bare[i] > 0 {
				without, bytesWithout := allocated(1<<14, programs[bare[i]].call)
				times[i], allocs, bytes = times[i]-times[bare[i]], allocs-without, bytes-bytesWithout
			}
			t.row(p.name, times[i], ratio(times[i]/times[0]), allocs, bytes)
		}
	})
	t.print()
}

// newRequest returns a request with the headers of a client behind a proxy.
func newRequest(url, token string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, url, nil)
	r.Header = http.Header{
		"Authorization": {"Bearer " + token}, "User-Agent": {"curl/8.5.0"}, "Accept": {"*/*"}, "Accept-Encoding": {"gzip"},
		"Content-Type": {"application/json"}, "X-Request-Id": {"8c0c1d62"}, "X-Forwarded-For": {"203.0.113.7"},
	}
	return r
}

type recordKey struct{}

// requireByHand is a middleware as a team would write it.
func requireByHand(validate validation, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		if !ok {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		found, err := validate(token)
		if err != nil {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), recordKey{}, found)))
	})
}

func keyAuth(validate validation) echo.MiddlewareFunc {
	return middleware.KeyAuth(func(token string, c echo.Context) (bool, error) {
		found, err := validate(token)
		c.Set("key", found)
		return err == nil, nil
	})
}

func newEcho(all ...echo.MiddlewareFunc) *echo.Echo {
	e := echo.New()
	e.GET("/reports", func(echo.Context) error { return nil }, all...)
	return e
}

// A discard is a ResponseWriter that discards the response. Every response must be a success.
type discard struct {
	header http.Header
	err    error
}

func (w *discard) Header() http.Header         { return w.header }
func (w *discard) Write(p []byte) (int, error) { return len(p), nil }
func (w *discard) WriteHeader(code int) {
	if code != http.StatusOK {
		w.err = echo.NewHTTPError(code)
	}
}
