package databases_test

import (
	"bytes"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/keyhatch/keyhatch/internal/testkit"
)

// A cut cuts a connection, once, when the client sends a text.
type cut struct {
	text   string // in lower case
	reply  bool   // forward the text, and cut the connection before the server's reply
	silent bool   // keep the connection open, but forward nothing more
	made   atomic.Bool

	mu   sync.Mutex
	conn int // the connection whose reply is cut, or 0
}

// A proxy forwards between a store and its server.
type proxy struct {
	t testing.TB
	*testkit.Proxy
}

// startProxy returns a proxy for the server of a database, and the data source name for it.
func startProxy(t testing.TB, dsn string) (proxy, string) {
	t.Helper()
	p := proxy{t, testkit.StartProxy(t, testkit.AddressOf(dsn))}
	return p, testkit.SetAddress(dsn, p.Address())
}

// cutMessage cuts the connection that sends the text, before the server gets it.
func (p proxy) cutMessage(text string) *cut { return p.plan(&cut{text: text}) }

// cutReply waits until the server has run the statement with the text, and cuts the connection
// before its reply.
func (p proxy) cutReply(text string) *cut { return p.plan(&cut{text: text, reply: true}) }

// silence keeps the connection that sends the text open, but forwards nothing.
func (p proxy) silence(text string) *cut { return p.plan(&cut{text: text, silent: true}) }

func (p proxy) plan(c *cut) *cut {
	p.Intercept(func(x testkit.Piece) bool {
		if !c.matches(x) {
			return true
		}
		if c.silent {
			c.made.Store(true)
			<-p.t.Context().Done()
		}
		if c.reply && x.ToServer {
			return true
		}
		c.made.Store(true)
		return false
	})
	return c
}

// matches reports whether a piece is the first one that contains the text. If the reply is to be
// cut, it also returns true for the reply to that piece.
func (c *cut) matches(x testkit.Piece) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !x.ToServer {
		return c.reply && x.Conn == c.conn
	}
	if c.conn != 0 || !bytes.Contains(bytes.ToLower(x.Bytes), []byte(c.text)) {
		return false
	}
	c.conn = x.Conn
	return true
}
