package rediscache

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"time"
)

const (
	quiet = time.Second            // silence on a connection before the server is pinged
	reply = 500 * time.Millisecond // bounds the wait for the reply
)

// A line is the only connection of a Receive. It is closed when ctx ends.
type line struct {
	ctx  context.Context
	dial func(ctx context.Context, network, address string) (net.Conn, error)
	conn *watched
}

var errLost = errors.New("the connection is lost")

func (l *line) connect(_ context.Context, network, address string) (net.Conn, error) {
	if l.conn != nil {
		return nil, errLost
	}
	conn, err := l.dial(l.ctx, network, address)
	if err != nil {
		return nil, err
	}
	l.conn = &watched{Conn: conn}
	l.conn.stop = context.AfterFunc(l.ctx, func() { conn.Close() })
	return l.conn, nil
}

// A watched connection pings the server if nothing has arrived for a while, and
// fails if the server does not reply. It works below go-redis, whose own read
// deadlines lose a message of which only a part has arrived.
type watched struct {
	net.Conn
	stop     func() bool
	watching bool
}

// watch starts the pings. Until then, the deadlines of go-redis apply.
func (w *watched) watch() { w.watching = true }

func (w *watched) SetReadDeadline(t time.Time) error {
	if w.watching {
		return nil
	}
	return w.Conn.SetReadDeadline(t)
}

func (w *watched) Read(b []byte) (int, error) {
	if !w.watching {
		return w.Conn.Read(b)
	}
	n, err := w.readWithin(quiet, b)
	if n > 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
		return n, err
	}
	if err := w.ping(); err != nil {
		return 0, err
	}
	return w.readWithin(reply, b)
}

func (w *watched) readWithin(limit time.Duration, b []byte) (int, error) {
	if err := w.Conn.SetReadDeadline(time.Now().Add(limit)); err != nil {
		return 0, err
	}
	return w.Conn.Read(b)
}

// ping writes the command itself, since go-redis writes nothing after a subscription.
func (w *watched) ping() error {
	if err := w.SetWriteDeadline(time.Now().Add(reply)); err != nil {
		return err
	}
	_, err := io.WriteString(w.Conn, "*1\r\n$4\r\nPING\r\n")
	return err
}

func (w *watched) Close() error {
	w.stop()
	return w.Conn.Close()
}
