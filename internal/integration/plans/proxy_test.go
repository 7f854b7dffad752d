package plans_test

import (
	"io"
	"net"
	"sync"
	"testing"
	"time"
)

// A proxy forwards the connections of a pool to its server until it is cut.
type proxy struct {
	net.Listener
	server string

	mu      sync.Mutex
	down    bool
	refused int // connections
	conns   map[net.Conn]bool
}

func newProxy(t *testing.T, server string) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{Listener: l, server: server, conns: map[net.Conn]bool{}}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { p.serve(client) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		p.cut(true)
		wg.Wait()
	})
	return p
}

// cut ends all connections, and refuses new ones while the proxy is down.
func (p *proxy) cut(down bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.down = down
	for conn := range p.conns {
		conn.Close()
	}
}

func (p *proxy) add(conn net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.down {
		p.refused++
		return false
	}
	p.conns[conn] = true
	return true
}

// waitRefused returns after more refused connections than a driver tries for one
// statement.
func (p *proxy) waitRefused(t *testing.T) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		p.mu.Lock()
		n := p.refused
		p.mu.Unlock()
		if n >= 6 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("only %d connections were refused", n)
		}
	}
}

func (p *proxy) serve(client net.Conn) {
	defer client.Close()
	if !p.add(client) {
		return
	}
	server, err := net.Dial("tcp", p.server)
	if err != nil {
		return
	}
	defer server.Close()
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() {
		defer client.Close()
		io.Copy(client, server)
	})
	io.Copy(server, client)
	server.Close()
}
