package databases_test

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
)

// A protocol is what a proxy has to know of one.
type protocol struct {
	commit  string // as it is in the message, in lower case
	message func(r io.Reader, first bool) ([]byte, error)
	address func(dsn string) string
	through func(dsn, address string) string
}

var postgresProtocol = protocol{
	commit: "commit\x00", // not the "read committed" that a transaction begins with

	// A type and a length, which counts itself; the first one has no type.
	message: func(r io.Reader, first bool) ([]byte, error) {
		head := make([]byte, 5)
		if first {
			head = head[:4]
		}
		return whole(r, head, func() int { return int(binary.BigEndian.Uint32(head[len(head)-4:])) - 4 })
	},

	address: func(dsn string) string { return parsed(dsn).Host },
	through: func(dsn, address string) string {
		u := parsed(dsn)
		u.Host = address
		return u.String()
	},
}

var mysqlProtocol = protocol{
	commit: "\x03commit", // not the "read committed" that a transaction begins with

	// Three bytes of length and one of a sequence.
	message: func(r io.Reader, _ bool) ([]byte, error) {
		head := make([]byte, 4)
		return whole(r, head, func() int { return int(binary.LittleEndian.Uint32(head)) & 0xffffff })
	},

	address: func(dsn string) string { return parsedMySQL(dsn).Addr },
	through: func(dsn, address string) string {
		config := parsedMySQL(dsn)
		config.Addr = address
		return config.FormatDSN()
	},
}

// whole reads the head of a message, and as much as that says.
func whole(r io.Reader, head []byte, rest func() int) ([]byte, error) {
	if _, err := io.ReadFull(r, head); err != nil {
		return nil, err
	}
	message := append(head, make([]byte, rest())...)
	_, err := io.ReadFull(r, message[len(head):])
	return message, err
}

// A proxy stands between a store and its server, and cuts a connection when it
// is told to.
type proxy struct {
	protocol
	net.Listener
	server string

	over chan struct{} // closed when the test is

	mu   sync.Mutex
	next *cut // nil: none
}

// A cut comes when the client sends a message with this text, and once.
type cut struct {
	text   string
	answer bool // keep the answer back, not the message
	mute   bool // cut nothing, and pass on nothing any more
	made   atomic.Bool
}

// newProxy is told the name of a database, and returns its name through the
// proxy.
func newProxy(t *testing.T, p protocol, dsn string) (*proxy, string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	x := &proxy{protocol: p, Listener: l, server: p.address(dsn), over: make(chan struct{})}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { x.serve(client) })
		}
	})
	t.Cleanup(func() { // after that of the pool, whose connections end then
		l.Close()
		close(x.over)
		wg.Wait()
	})
	return x, p.through(dsn, l.Addr().String())
}

// cutMessage cuts the connection that brings the text before the server sees
// it.
func (p *proxy) cutMessage(text string) *cut { return p.plan(&cut{text: text}) }

// cutAnswer waits until the server has answered the text, so that it has done
// what it says, and keeps that answer back.
func (p *proxy) cutAnswer(text string) *cut { return p.plan(&cut{text: text, answer: true}) }

// silence leaves the connection that brings the text open, and says no more.
func (p *proxy) silence(text string) *cut { return p.plan(&cut{text: text, mute: true}) }

func (p *proxy) plan(c *cut) *cut {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.next = c
	return c
}

func (p *proxy) take(message []byte) *cut {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.next == nil || !bytes.Contains(bytes.ToLower(message), []byte(p.next.text)) {
		return nil
	}
	c := p.next
	p.next = nil
	return c
}

func (p *proxy) serve(client net.Conn) {
	defer client.Close()
	server, err := net.Dial("tcp", p.server)
	if err != nil {
		return
	}
	var wg sync.WaitGroup
	defer wg.Wait()
	var held atomic.Pointer[cut]
	wg.Go(func() {
		defer client.Close()
		answers(client, server, &held)
	})
	p.messages(client, server, &held)
	server.Close()
}

// messages are passed on until one is to be cut.
func (p *proxy) messages(client, server net.Conn, held *atomic.Pointer[cut]) {
	for first := true; ; first = false {
		message, err := p.message(client, first)
		if err != nil {
			return
		}
		if c := p.take(message); c != nil {
			if c.mute {
				c.made.Store(true)
				<-p.over
				return
			}
			if !c.answer {
				c.made.Store(true)
				return
			}
			held.Store(c)
		}
		if _, err := server.Write(message); err != nil {
			return
		}
	}
}

// answers are passed on until one is held.
func answers(client, server net.Conn, held *atomic.Pointer[cut]) {
	b := make([]byte, 32<<10)
	for {
		n, err := server.Read(b)
		if err != nil {
			return
		}
		if c := held.Load(); c != nil {
			c.made.Store(true)
			return
		}
		if _, err := client.Write(b[:n]); err != nil {
			return
		}
	}
}
