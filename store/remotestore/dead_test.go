package remotestore_test

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"log"
	"net"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/keyhatch/keyhatch/store/remotestore"
)

// A cable forwards connections to a server until they are cut. A cut connection
// stays open but forwards nothing, as if a machine on the way had failed.
type cable struct {
	net.Listener
	to  string
	mu  sync.Mutex
	cut []func() // cut the working connections
	wg  sync.WaitGroup
}

func newCable(t *testing.T, to string) *cable {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &cable{Listener: l, to: to}
	c.wg.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			c.carry(t, client)
		}
	})
	t.Cleanup(func() { l.Close(); c.cutAll(); c.wg.Wait() })
	return c
}

func (c *cable) carry(t *testing.T, client net.Conn) {
	server, err := net.Dial("tcp", c.to)
	if err != nil {
		client.Close()
		return
	}
	t.Cleanup(func() { client.Close(); server.Close() })
	var cut sync.Once
	isCut := make(chan struct{})
	c.mu.Lock()
	c.cut = append(c.cut, func() {
		cut.Do(func() { close(isCut) })
		client.SetReadDeadline(time.Unix(1, 0))
		server.SetReadDeadline(time.Unix(1, 0))
	})
	c.mu.Unlock()
	for _, pair := range [][2]net.Conn{{client, server}, {server, client}} {
		c.wg.Go(func() {
			io.Copy(pair[0], pair[1])
			select {
			case <-isCut: // leave both open
			default:
				client.Close()
				server.Close()
			}
		})
	}
}

func (c *cable) cutAll() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, cut := range c.cut {
		cut()
	}
	c.cut = nil
}

// an HTTP/2 connection that broke without notice is replaced.
func TestDeadConnection(t *testing.T) {
	t.Parallel()
	server := httptest.NewUnstartedServer(newHandler(t, populated(t), nil))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(server.Close)
	c := newCable(t, server.Listener.Addr().String())
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	s := newStore(t, "https://"+c.Addr().String(), &remotestore.Options{
		TLS: &tls.Config{RootCAs: roots, ServerName: "example.com"}, Timeout: 500 * time.Millisecond,
	})
	lookup := func() error { _, err := s.Lookup(t.Context(), digest("a")); return err }
	var err error
	for range 100 { // on a slow machine, the first call may take longer than the timeout
		if err = lookup(); err == nil {
			break
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	c.cutAll()
	if err := lookup(); err == nil {
		t.Fatal("a call on a dead connection succeeded")
	}
	began := time.Now()
	for lookup() != nil {
		if time.Since(began) > time.Minute {
			t.Fatal("the client still uses the dead connection after a minute")
		}
	}
	t.Logf("recovered after %v", time.Since(began).Round(time.Millisecond))
}
