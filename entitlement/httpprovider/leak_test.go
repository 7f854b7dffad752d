package httpprovider_test

import (
	"io"
	"net"
	"net/http"
	"runtime"
	"testing"
	"time"

	"github.com/keyhatch/keyhatch/entitlement/httpprovider"
)

// After Close, neither successful nor hanging calls leave goroutines behind. The test is
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
	p := newProvider(t, address, httpprovider.Options{Timeout: 50 * time.Millisecond})
	for _, owner := range []string{"user_1", "hang", "half", "upgrade", "user_1", "hang"} {
		e, err := p.Entitlement(t.Context(), owner)
		if owner != "user_1" {
			checkOutage(t, e, err)
		} else if err != nil {
			t.Error(err)
		}
	}
	p.Close()
	for began := time.Now(); runtime.NumGoroutine() > before+1; time.Sleep(time.Millisecond) { // one of them accepts connections
		if time.Since(began) > 10*time.Second {
			stacks := make([]byte, 64<<10)
			t.Fatalf("%d goroutines before and %d after:\n%s", before, runtime.NumGoroutine(), stacks[:runtime.Stack(stacks, true)])
		}
	}
}

// A writer writes the response on a raw connection, which it closes.
type writer struct{ c net.Conn }

func (w writer) Header() http.Header { return http.Header{} }
func (w writer) WriteHeader(int)     {}
func (w writer) Write(b []byte) (int, error) {
	defer w.c.Close()
	return io.WriteString(w.c, head+"Connection: close\r\n\r\n"+string(b))
}
