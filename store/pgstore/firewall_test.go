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

// Firewalls forget connections that are idle, and swallow what is then sent.
func TestForgottenConnectionIsReplaced(t *testing.T) {
	t.Parallel()
	dsn := shared(t)
	wall := newFirewall(t, dsn)
	s := open(t, wall.dsn, &pgstore.Options{Schema: newSchema(t, dsn)})
	t.Cleanup(wall.sever) // or Close waits for the forgotten connection's farewell
	insert(t, s, record("o", "k1"))
	wall.forget()
	time.Sleep(1100 * time.Millisecond) // idle for more than a second, after which pgxpool asks
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if _, err := s.Lookup(ctx, record("o", "k1").Digest); err != nil {
		t.Errorf("a call that finds only a forgotten connection: %v", err)
	}
}

// A firewall passes on what it is sent, on connections that it remembers.
type firewall struct {
	dsn string

	mu         sync.Mutex
	generation int
	blocks     bool // new connections too
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

// intercept has do called before anything is passed on that a client sends, on
// connections that begin from now on.
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

// block makes a black hole: it forgets, and new connections pass nothing.
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

// sever ends all connections, so that both sides notice.
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
