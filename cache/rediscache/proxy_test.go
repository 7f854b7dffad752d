package rediscache_test

import (
	"net"
	"sync"
	"sync/atomic"
	"testing"
)

// A proxy passes on what it is sent, until it is told to swallow it, or to hang
// up in place of the next answer.
type proxy struct {
	address string
	swallow atomic.Bool
	hangUp  atomic.Bool
	opened  atomic.Int64

	mu    sync.Mutex
	conns []net.Conn
}

func newProxy(t testing.TB, server string) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{address: l.Addr().String()}
	t.Cleanup(func() {
		l.Close()
		p.sever()
	})
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			p.opened.Add(1)
			back, err := net.Dial("tcp", server)
			if err != nil {
				client.Close()
				continue
			}
			p.remember(client, back)
		}
	}()
	return p
}

func (p *proxy) remember(client, server net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.conns = append(p.conns, client, server)
	go p.pass(server, client, nil)
	go p.pass(client, server, &p.hangUp)
}

func (p *proxy) pass(to, from net.Conn, hangUp *atomic.Bool) {
	defer to.Close()
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		if err != nil || hangUp != nil && hangUp.CompareAndSwap(true, false) {
			return
		}
		if !p.swallow.Load() {
			to.Write(buf[:n])
		}
	}
}

// sever ends all connections, so that both sides notice.
func (p *proxy) sever() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, conn := range p.conns {
		conn.Close()
	}
	p.conns = nil
}
