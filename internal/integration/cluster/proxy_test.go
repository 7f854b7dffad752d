package cluster_test

import (
	"errors"
	"net"
	"sync"
	"testing"
	"time"
)

// A proxy stands between one instance and one server, so that each can be
// parted from each.
type proxy struct {
	net.Listener
	server string

	mu      sync.Mutex
	fault   fault
	changed chan struct{} // closed when the fault is another
	over    bool
	pairs   map[*pair]bool
	wg      sync.WaitGroup
}

// newProxy stands before the server at an address until the test ends.
func newProxy(t testing.TB, server string) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{Listener: l, server: server, changed: make(chan struct{}), pairs: map[*pair]bool{}}
	p.wg.Go(p.accept)
	t.Cleanup(p.end)
	return p
}

func (p *proxy) address() string { return p.Addr().String() }

func (p *proxy) accept() {
	for {
		client, err := p.Accept()
		if err != nil {
			return
		}
		p.wg.Go(func() { p.serve(client) })
	}
}

func (p *proxy) end() {
	p.Close()
	p.mu.Lock()
	p.over = true
	p.mu.Unlock()
	p.cut(func(c *pair) { c.reset() })
	p.wg.Wait()
}

// set begins a fault in the place of the one that there was.
func (p *proxy) set(f fault) {
	p.mu.Lock()
	p.fault = f
	close(p.changed)
	p.changed = make(chan struct{})
	p.mu.Unlock()
	switch {
	case f.reset:
		p.cut(func(c *pair) { c.reset() })
	case f.lateEnd > 0:
		p.cut(func(c *pair) { c.server.Close() })
	}
}

func (p *proxy) heal() { p.set(fault{}) }

func (p *proxy) cut(how func(*pair)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.pairs {
		how(c)
	}
}

func (p *proxy) now() (fault, <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.fault, p.changed
}

// add is false when there are no more connections.
func (p *proxy) add(c *pair) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.over || p.fault.reset {
		return false
	}
	p.pairs[c] = true
	return true
}

func (p *proxy) remove(c *pair) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.pairs, c)
}

// A direction is that in which bytes pass.
type direction int

const (
	up direction = iota // to the server
	down
)

// A pair is a connection of a client, and the one to the server.
type pair struct {
	proxy          *proxy
	client, server net.Conn
	gone           chan struct{}
	once           sync.Once
}

// later is a server that nothing has reached yet.
type later struct{ net.Conn }

func (p *proxy) serve(client net.Conn) {
	defer client.Close()
	c := &pair{proxy: p, client: client, server: later{client}, gone: make(chan struct{})}
	if !p.add(c) {
		c.reset()
		return
	}
	defer p.remove(c)
	if !c.pass(up, time.Now()) { // a server does not see who cannot reach it
		return
	}
	server, err := net.Dial("tcp", p.server)
	if err != nil {
		c.reset()
		return
	}
	defer server.Close()
	if !c.reaches(server) {
		return
	}
	var wg sync.WaitGroup
	wg.Go(func() { c.pump(down, server, client) })
	c.pump(up, client, server)
	wg.Wait()
}

// reaches is false when the connection was reset meanwhile.
func (c *pair) reaches(server net.Conn) bool {
	c.proxy.mu.Lock()
	defer c.proxy.mu.Unlock()
	select {
	case <-c.gone:
		return false
	default:
	}
	c.server = server
	return true
}

// reset ends both connections without a farewell.
func (c *pair) reset() {
	for _, conn := range []net.Conn{c.client, c.server} {
		if tcp, ok := conn.(*net.TCPConn); ok {
			tcp.SetLinger(0)
		}
		conn.Close()
	}
	c.once.Do(func() { close(c.gone) })
}

// A piece is what was read at a time; nil is the end.
type piece struct {
	bytes []byte
	at    time.Time
}

// pump passes on what comes, each piece when the fault lets it.
func (c *pair) pump(d direction, from, to net.Conn) {
	defer to.Close()
	pieces := make(chan piece, 1024)
	done := make(chan struct{})
	defer close(done)
	c.proxy.wg.Go(func() { read(from, pieces, done) })
	for p := range pieces {
		if !c.pass(d, p.at) || p.bytes == nil {
			if f, _ := c.proxy.now(); p.bytes == nil && d == down && f.lateEnd > 0 {
				c.wait(p.at.Add(f.lateEnd), nil)
			}
			return
		}
		if err := c.write(to, p.bytes); err != nil {
			return
		}
	}
}

func read(from net.Conn, pieces chan<- piece, done <-chan struct{}) {
	for {
		b := make([]byte, 16<<10)
		n, err := from.Read(b)
		if n > 0 {
			select {
			case pieces <- piece{b[:n], time.Now()}:
			case <-done:
				return
			}
		}
		if err != nil {
			select {
			case pieces <- piece{nil, time.Now()}:
			case <-done:
			}
			return
		}
	}
}

// pass waits until what came at a time may pass. It is false when the
// connection is gone.
func (c *pair) pass(d direction, at time.Time) bool {
	for {
		f, changed := c.proxy.now()
		if !f.holds(d) && !time.Now().Before(at.Add(f.delay)) {
			return true
		}
		until := at.Add(f.delay)
		if f.holds(d) {
			until = time.Time{}
		}
		if !c.wait(until, changed) {
			return false
		}
	}
}

// wait ends at a time, if there is one, or when the fault changes. It is false
// when the connection is gone.
func (c *pair) wait(until time.Time, changed <-chan struct{}) bool {
	var timer <-chan time.Time
	if !until.IsZero() {
		timer = time.After(time.Until(until))
	}
	select {
	case <-timer:
	case <-changed:
	case <-c.gone:
		return false
	}
	return true
}

var errGone = errors.New("the connection is gone")

func (c *pair) write(to net.Conn, b []byte) error {
	for sent := 1; len(b) > 0; sent++ {
		n := len(b)
		f, _ := c.proxy.now()
		if f.slice > 0 {
			n = 1
		}
		if _, err := to.Write(b[:n]); err != nil {
			return err
		}
		b = b[n:]
		if f.slice > 0 && sent%16 == 0 && !c.wait(time.Now().Add(f.slice), nil) {
			return errGone
		}
	}
	return nil
}
