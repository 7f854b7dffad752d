package httpprovider_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"runtime"
	"testing"
	"time"

	"github.com/keyhatch/keyhatch/entitlement/httpprovider"
	"github.com/keyhatch/keyhatch/internal/testkit"
)

// After Close, neither successful nor hanging calls leak goroutines. The test is
// not parallel, since it counts goroutines.
func TestNoGoroutineLeak(t *testing.T) {
	before := runtime.NumGoroutine()
	address := serveRaw(t, func(c net.Conn, r *http.Request) {
		switch r.URL.Query().Get("owner") {
		case "user_1":
			respondWith(good)(writer{c}, r)
		case "half":
			io.WriteString(c, head+"Content-Length: 50\r\n\r\n"+good[:20])
		case "upgrade":
			io.WriteString(c, "HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n")
		}
	})
	p := newProvider(t, address, httpprovider.Options{Timeout: 10 * time.Second})
	for _, owner := range []string{"user_1", "hang", "half", "upgrade", "user_1", "hang"} {
		if owner == "user_1" {
			if _, err := p.Entitlement(t.Context(), owner); err != nil {
				t.Error(err)
			}
			continue
		}
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		e, err := p.Entitlement(ctx, owner)
		cancel()
		checkOutage(t, e, err)
	}
	p.Close()
	testkit.Await(t, "all goroutines end except the one that accepts connections", func() bool { return runtime.NumGoroutine() <= before+1 })
}

// A writer writes the response on a raw connection, which it closes.
type writer struct{ c net.Conn }

func (w writer) Header() http.Header { return http.Header{} }
func (w writer) WriteHeader(int)     {}
func (w writer) Write(b []byte) (int, error) {
	defer w.c.Close()
	return io.WriteString(w.c, head+"Connection: close\r\n\r\n"+string(b))
}
