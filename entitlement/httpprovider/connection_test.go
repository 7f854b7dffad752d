package httpprovider_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/keyhatch/keyhatch/entitlement/httpprovider"
)

// serveRaw calls respond on each raw connection after reading its request.
func serveRaw(t *testing.T, respond func(c net.Conn, r *http.Request)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { c.Close() })
			go func() {
				if r, err := http.ReadRequest(bufio.NewReader(c)); err == nil {
					respond(c, r)
				}
			}()
		}
	}()
	return "http://" + l.Addr().String()
}

const head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"

// A broken connection returns an outage error within the timeout of a request.
func TestBrokenConnections(t *testing.T) {
	t.Parallel()
	for name, respond := range map[string]func(c net.Conn, r *http.Request){
		"hang":               func(net.Conn, *http.Request) {},
		"hang in the header": func(c net.Conn, _ *http.Request) { io.WriteString(c, head) },
		"hang in the body":   func(c net.Conn, _ *http.Request) { io.WriteString(c, head+"Content-Length: 50\r\n\r\n"+good[:20]) },
		"hang in the body of a failure": func(c net.Conn, _ *http.Request) {
			io.WriteString(c, "HTTP/1.1 500 Oh\r\nContent-Length: 50\r\n\r\nhm")
		},
		"hang after the body": func(c net.Conn, _ *http.Request) { io.WriteString(c, head+"\r\n"+good) },
		"slow body": func(c net.Conn, _ *http.Request) {
			io.WriteString(c, head+"Content-Length: 50\r\n\r\n")
			for _, b := range []byte(good) {
				time.Sleep(20 * time.Millisecond)
				c.Write([]byte{b})
			}
		},
		"slow body without an end": func(c net.Conn, _ *http.Request) {
			io.WriteString(c, head+"\r\n"+good)
			for {
				if _, err := io.WriteString(c, " "); err != nil {
					return
				}
				time.Sleep(20 * time.Millisecond)
			}
		},
		"close": func(c net.Conn, _ *http.Request) { c.Close() },
		"reset": func(c net.Conn, _ *http.Request) { c.(*net.TCPConn).SetLinger(0); c.Close() },
		"reset in the body": func(c net.Conn, _ *http.Request) {
			io.WriteString(c, head+"Content-Length: 50\r\n\r\n"+good[:20])
			c.(*net.TCPConn).SetLinger(0)
			c.Close()
		},
		"cut body": func(c net.Conn, _ *http.Request) {
			fmt.Fprintf(c, "%sContent-Length: %d\r\n\r\n%s", head, len(good)+1, good)
			c.Close()
		},
		"cut chunks": func(c net.Conn, _ *http.Request) {
			fmt.Fprintf(c, "%sTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n", head, len(good), good)
			c.Close()
		},
		"cut body without a length": func(c net.Conn, _ *http.Request) {
			io.WriteString(c, head+"Connection: close\r\n\r\n"+good[:len(good)-1])
			c.Close()
		},
		"a wrong length": func(c net.Conn, _ *http.Request) {
			fmt.Fprintf(c, "%sContent-Length: 9000000000\r\n\r\n%s", head, good)
		},
		"two lengths": func(c net.Conn, _ *http.Request) {
			fmt.Fprintf(c, "%sContent-Length: %d\r\nContent-Length: 3\r\n\r\n%s", head, len(good), good)
		},
		"a body without an end": func(c net.Conn, _ *http.Request) { io.WriteString(c, head+"\r\n"); writeForever(c, " ") },
		"a huge header":         func(c net.Conn, _ *http.Request) { io.WriteString(c, "HTTP/1.1 200 OK\r\nX: "); writeForever(c, "x") },
		"many headers": func(c net.Conn, _ *http.Request) {
			io.WriteString(c, "HTTP/1.1 200 OK\r\n")
			writeForever(c, "X: x\r\n")
		},
		"many hints": func(c net.Conn, _ *http.Request) {
			writeForever(c, "HTTP/1.1 103 Early Hints\r\nLink: </>\r\n\r\n")
		},
		"switching protocols": func(c net.Conn, _ *http.Request) {
			io.WriteString(c, "HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"+good)
		},
		"not HTTP": func(c net.Conn, _ *http.Request) { io.WriteString(c, good+"\r\n\r\n") },
		"a long word": func(c net.Conn, _ *http.Request) {
			io.WriteString(c, head+"Content-Length: "+strings.Repeat("x", 9000)+"\r\n\r\n")
		},
		"the secret alone": func(c net.Conn, r *http.Request) { io.WriteString(c, r.Header.Get("Authorization")+"\r\n\r\n") },
		"the secret in a status": func(c net.Conn, r *http.Request) {
			io.WriteString(c, "HTTP/1.1 "+r.Header.Get("Authorization")+"\r\n\r\n")
		},
		"the secret in a header line": func(c net.Conn, r *http.Request) {
			io.WriteString(c, "HTTP/1.1 200 OK\r\n"+r.Header.Get("Authorization")+"\r\n\r\n")
		},
		"the secret in a Location": func(c net.Conn, r *http.Request) {
			io.WriteString(c, "HTTP/1.1 302 Found\r\nLocation: http://["+secret+"\r\nContent-Length: 0\r\n\r\n")
		},
		"the secret in a length": func(c net.Conn, r *http.Request) {
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: "+secret+"\r\n\r\n")
		},
	} {
		t.Run(strings.ReplaceAll(name, " ", "_"), func(t *testing.T) {
			t.Parallel()
			p := newProvider(t, serveRaw(t, respond), httpprovider.Options{Timeout: 300 * time.Millisecond})
			began := time.Now()
			e, err := p.Entitlement(t.Context(), "user_1")
			checkOutage(t, e, err)
			if took := time.Since(began); took > 5*time.Second {
				t.Errorf("the call took too long: %v", took)
			}
			t.Log(err)
		})
	}
}

// A cache on the way could return a plan that has ended. So every request tells it to
// ask the service again, even if the last response was cacheable.
func TestRequestsBypassCaches(t *testing.T) {
	t.Parallel()
	got := make(chan http.Header, 1)
	address := serveRaw(t, func(c net.Conn, r *http.Request) {
		got <- r.Header
		fmt.Fprintf(c, "%sContent-Length: %d\r\n\r\n%s", head, len(good), good)
	})
	for name, mine := range map[string]http.Header{
		"no header":                   {"Authorization": {"Bearer " + secret}},
		"a header that allows caches": {"Cache-Control": {"max-stale=3600"}},
		"in another spelling":         {"cache-control": {"only-if-cached"}},
	} {
		p := newProvider(t, address, httpprovider.Options{Header: mine})
		if _, err := p.Entitlement(t.Context(), "user_1"); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if sent := (<-got)["Cache-Control"]; !slices.Equal(sent, []string{"no-cache"}) {
			t.Errorf("%s: got Cache-Control %q, want only no-cache", name, sent)
		}
	}
}

// writeForever writes the same bytes until the reader closes the connection.
func writeForever(c net.Conn, text string) {
	block := []byte(strings.Repeat(text, 4096/len(text)))
	for {
		if _, err := c.Write(block); err != nil {
			return
		}
	}
}

// The caller's context also bounds a request, and the error matches the context's.
func TestContext(t *testing.T) {
	t.Parallel()
	p := newProvider(t, serveRaw(t, func(net.Conn, *http.Request) {}), httpprovider.Options{Timeout: time.Minute})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	e, err := p.Entitlement(ctx, "user_1")
	checkOutage(t, e, err)
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want the context's error", err)
	}
	ctx, cancel = context.WithCancel(t.Context())
	time.AfterFunc(20*time.Millisecond, cancel)
	e, err = p.Entitlement(ctx, "user_1")
	checkOutage(t, e, err)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want the context's error", err)
	}
}

func TestConnectionRefused(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	p := newProvider(t, "http://"+l.Addr().String(), httpprovider.Options{Header: http.Header{"X-Host": {l.Addr().String()}}})
	e, err := p.Entitlement(t.Context(), "user_1")
	checkOutage(t, e, err)
	if !strings.Contains(err.Error(), "refused") {
		t.Errorf("got %v, want the network's error", err)
	}
}
