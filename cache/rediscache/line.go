package rediscache

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"time"
)

// How long a connection may be silent before the server is asked for a sign of
// life, and how long that may take.
const (
	quiet  = time.Second
	answer = 500 * time.Millisecond
)

// A line is the one connection of a Receive. It ends with the context.
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

// A watched connection asks the server for a sign of life when nothing has come
// for a while, and is lost when there is none. It does so below go-redis, whose
// own deadlines lose what they cut in two.
type watched struct {
	net.Conn
	stop     func() bool
	watching bool
}

// watch begins. Until then deadlines are go-redis' own.
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
	return w.readWithin(answer, b)
}

func (w *watched) readWithin(limit time.Duration, b []byte) (int, error) {
	if err := w.Conn.SetReadDeadline(time.Now().Add(limit)); err != nil {
		return 0, err
	}
	return w.Conn.Read(b)
}

// ping is written here: go-redis writes nothing once it has subscribed.
func (w *watched) ping() error {
	if err := w.SetWriteDeadline(time.Now().Add(answer)); err != nil {
		return err
	}
	_, err := io.WriteString(w.Conn, "*1\r\n$4\r\nPING\r\n")
	return err
}

func (w *watched) Close() error {
	w.stop()
	return w.Conn.Close()
}
