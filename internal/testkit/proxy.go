package testkit

import (
	"errors"
	"net"
	"sync"
	"testing"
	"time"
)

// A Proxy stands between clients and a server, and injects faults. Its methods may be
// called concurrently.
type Proxy struct {
	listener net.Listener
	server   string

	mu        sync.Mutex
	fault     Fault
	intercept func(Piece) bool
	changed   chan struct{} // closed when the fault changes or connections are blackholed
	ended     bool
	links     map[*link]bool
	accepted  int
	refused   int
	wg        sync.WaitGroup
}

// A Piece is data that a client or the server has sent at once.
type Piece struct {
	Conn     int // the number of the connection
	ToServer bool
	Bytes    []byte
}

// StartProxy starts a proxy for the server at an address. It ends with the test.
func StartProxy(tb testing.TB, server string) *Proxy {
	tb.Helper()
	l, err := net.Listen("tcp", loopback(0))
	if err != nil {
		tb.Fatal(err)
	}
	p := &Proxy{
		listener: l, server: server, changed: make(chan struct{}), links: map[*link]bool{},
		intercept: func(Piece) bool { return true },
	}
	p.wg.Go(p.accept)
	tb.Cleanup(p.end)
	return p
}

// Address returns the address to connect to instead of the server's.
func (p *Proxy) Address() string { return p.listener.Addr().String() }

// Accepted returns how many connections the proxy has accepted, without those refused.
func (p *Proxy) Accepted() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.accepted
}

// Refused returns how many connections a Fault with Reset has refused.
func (p *Proxy) Refused() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.refused
}

// Inject replaces the current fault.
func (p *Proxy) Inject(f Fault) {
	p.mu.Lock()
	p.fault = f
	p.wake()
	p.mu.Unlock()
	switch {
	case f.Reset:
		p.each((*link).reset)
	case f.LateClose > 0:
		p.each(func(c *link) { c.server.Close() })
	}
}

// Heal ends the current fault.
func (p *Proxy) Heal() { p.Inject(Fault{}) }

// Blackhole makes the proxy drop all further data on the existing connections, like a
// firewall that has dropped their state. New connections work.
func (p *Proxy) Blackhole() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.links {
		c.blackholed = true
	}
	p.wake()
}

// Sever closes all connections, so that both sides notice.
func (p *Proxy) Sever() { p.each((*link).close) }

// Intercept makes the proxy call f with each piece before it passes. If f returns false,
// the proxy closes the connection instead. The calls for one direction of one connection
// are sequential; all others are concurrent.
func (p *Proxy) Intercept(f func(Piece) bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.intercept = f
}

// wake must be called with the lock.
func (p *Proxy) wake() {
	close(p.changed)
	p.changed = make(chan struct{})
}

func (p *Proxy) lock(do func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	do()
}

func (p *Proxy) each(do func(*link)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.links {
		do(c)
	}
}

func (p *Proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.wg.Go(func() { p.serve(client) })
	}
}

func (p *Proxy) end() {
	p.listener.Close()
	p.mu.Lock()
	p.ended = true
	p.mu.Unlock()
	p.Sever()
	p.wg.Wait()
}

func (p *Proxy) serve(client net.Conn) {
	defer client.Close()
	c := &link{proxy: p, client: client, server: unreached{client}, gone: make(chan struct{})}
	if !p.add(c) {
		p.lock(c.reset)
		return
	}
	defer p.remove(c)
	if !c.wait(true, time.Now()) { // do not connect to the server while the fault holds data
		return
	}
	server, err := net.Dial("tcp", p.server)
	if err != nil {
		p.lock(c.reset)
		return
	}
	defer server.Close()
	if !c.reach(server) {
		return
	}
	var wg sync.WaitGroup
	wg.Go(func() { c.pump(false, server, client) })
	c.pump(true, client, server)
	wg.Wait()
}

// add returns false if the connection is refused.
func (p *Proxy) add(c *link) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended || p.fault.Reset {
		p.refused++
		return false
	}
	p.accepted++
	c.number = p.accepted
	p.links[c] = true
	return true
}

func (p *Proxy) remove(c *link) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.links, c)
}

// A link is a pair of connections: the client's, and one to the server.
type link struct {
	proxy          *Proxy
	number         int
	client, server net.Conn
	blackholed     bool // guarded by proxy.mu
	gone           chan struct{}
	once           sync.Once
}

// unreached is the placeholder of a connection to a server that is not connected yet.
type unreached struct{ net.Conn }

// reach sets the connection to the server. It returns false if the link is closed.
func (c *link) reach(server net.Conn) bool {
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

// close must be called with the lock, which guards the connection to the server.
func (c *link) close() {
	c.client.Close()
	c.server.Close()
	c.once.Do(func() { close(c.gone) })
}

// reset closes both connections with a TCP reset, so that both sides get an error.
func (c *link) reset() {
	for _, conn := range []net.Conn{c.client, c.server} {
		if tcp, ok := conn.(*net.TCPConn); ok {
			tcp.SetLinger(0)
		}
	}
	c.close()
}

// A read is data that arrived at once. If bytes is nil, the connection has ended.
type read struct {
	bytes []byte
	at    time.Time
}

// pump forwards each piece when the fault lets it pass.
func (c *link) pump(toServer bool, from, to net.Conn) {
	defer to.Close()
	reads := make(chan read, 1024)
	done := make(chan struct{})
	defer close(done)
	c.proxy.wg.Go(func() { readAll(from, reads, done) })
	for r := range reads {
		if r.bytes == nil {
			if c.wait(toServer, r.at) && !toServer {
				c.waitLateClose(r.at)
			}
			return
		}
		if !c.interceptor()(Piece{c.number, toServer, r.bytes}) {
			c.proxy.lock(c.close)
			return
		}
		if !c.wait(toServer, r.at) || c.write(to, r.bytes) != nil {
			return
		}
	}
}

func readAll(from net.Conn, reads chan<- read, done <-chan struct{}) {
	for {
		b := make([]byte, 16<<10)
		n, err := from.Read(b)
		if n > 0 {
			select {
			case reads <- read{b[:n], time.Now()}:
			case <-done:
				return
			}
		}
		if err != nil {
			select {
			case reads <- read{nil, time.Now()}:
			case <-done:
			}
			return
		}
	}
}

func (c *link) interceptor() func(Piece) bool {
	c.proxy.mu.Lock()
	defer c.proxy.mu.Unlock()
	return c.proxy.intercept
}

// wait waits until data that arrived at the given time may pass. It returns false if the
// link is closed.
func (c *link) wait(toServer bool, at time.Time) bool {
	for {
		f, blackholed, changed := c.now()
		var timer <-chan time.Time
		if !blackholed && !f.holds(toServer) {
			left := time.Until(at.Add(f.Delay))
			if left <= 0 {
				return true
			}
			timer = time.After(left)
		}
		select {
		case <-timer:
		case <-changed:
		case <-c.gone:
			return false
		}
	}
}

func (c *link) now() (f Fault, blackholed bool, changed <-chan struct{}) {
	c.proxy.mu.Lock()
	defer c.proxy.mu.Unlock()
	return c.proxy.fault, c.blackholed, c.proxy.changed
}

func (c *link) waitLateClose(at time.Time) {
	f, _, _ := c.now()
	c.sleep(time.Until(at.Add(f.LateClose)))
}

// sleep returns false if the link is closed before d has passed.
func (c *link) sleep(d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-c.gone:
		return false
	}
}

var errGone = errors.New("testkit: the connection is closed")

func (c *link) write(to net.Conn, b []byte) error {
	for sent := 1; len(b) > 0; sent++ {
		n := len(b)
		f, _, _ := c.now()
		if f.Slice > 0 {
			n = 1
		}
		if _, err := to.Write(b[:n]); err != nil {
			return err
		}
		b = b[n:]
		if f.Slice > 0 && sent%16 == 0 && !c.sleep(f.Slice) {
			return errGone
		}
	}
	return nil
}
