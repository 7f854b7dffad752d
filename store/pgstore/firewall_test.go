package pgstore_test

import (
	"context"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/keyhatch/keyhatch/store/pgstore"
)

// Firewalls drop idle connections without notice, and then drop the packets.
func TestForgottenConnectionIsReplaced(t *testing.T) {
	t.Parallel()
	dsn := shared(t)
	wall := newFirewall(t, dsn)
	s := open(t, wall.dsn, &pgstore.Options{Schema: newSchema(t, dsn)})
	t.Cleanup(wall.sever) // otherwise Close waits to terminate the forgotten connection
	insert(t, s, record("o", "k1"))
	wall.forget()
	time.Sleep(1100 * time.Millisecond) // pgxpool pings a connection that was idle for more than a second
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if _, err := s.Lookup(ctx, record("o", "k1").Digest); err != nil {
		t.Errorf("a call on a forgotten connection failed: %v", err)
	}
}

// A firewall forwards data on the connections that it remembers.
type firewall struct {
	dsn string

	mu         sync.Mutex
	generation int
	blocks     bool // also new connections
	conns      []net.Conn
	before     func(sent []byte)
}

func newFirewall(t *testing.T, dsn string) *firewall {
	t.Helper()
	server, err := pgx.ParseConfig(dsn)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := net.JoinHostPort(server.Host, strconv.Itoa(int(server.Port)))
	w := &firewall{dsn: strings.Replace(dsn, address, l.Addr().String(), 1), before: func([]byte) {}}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", address)
			if err != nil {
				client.Close()
				continue
			}
			w.remember(client, server)
		}
	}()
	return w
}

func (w *firewall) remember(client, server net.Conn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.conns = append(w.conns, client, server)
	born := w.generation
	if w.blocks {
		born--
	}
	go w.pass(server, client, born, w.before)
	go w.pass(client, server, born, func([]byte) {})
}

// intercept makes do be called with everything that a client sends, before it is
// forwarded, on connections that begin from now on.
func (w *firewall) intercept(do func(sent []byte)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.before = do
}

func (w *firewall) forget() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.generation++
}

// block makes the firewall drop everything: it forgets all connections, and new
// ones forward nothing.
func (w *firewall) block(yes bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.generation++
	w.blocks = yes
}

func (w *firewall) knows(generation int) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.generation == generation
}

// sever closes all connections, so that both sides notice.
func (w *firewall) sever() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, conn := range w.conns {
		conn.Close()
	}
}

func (w *firewall) pass(to, from net.Conn, born int, before func(sent []byte)) {
	defer to.Close()
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		if err != nil {
			return
		}
		before(buf[:n])
		if w.knows(born) {
			to.Write(buf[:n])
		}
	}
}
