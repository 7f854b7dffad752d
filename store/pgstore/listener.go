package pgstore

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	listenTimeout = 2 * time.Second // bounds a LISTEN on a new connection
	quiet         = time.Second     // silence after which the server is pinged
	farewell      = 100 * time.Millisecond
	maxEchoes     = 64
)

// A listener is a connection that listens on one channel.
type listener struct {
	conn    *pgx.Conn
	channel string
	server  int64 // start time of the server

	mu     sync.Mutex
	echoes []string           // echoes to deliver after the messages that the server has sent
	wake   context.CancelFunc // ends the current wait
}

func listen(ctx context.Context, server *pgx.ConnConfig, channel string) (*listener, error) {
	conn, err := dialOnce(ctx, server)
	if err != nil {
		return nil, err
	}
	l := &listener{conn: conn, channel: channel}
	limited, cancel := context.WithTimeout(ctx, listenTimeout)
	defer cancel()
	if _, err := conn.Exec(limited, "LISTEN "+pgx.Identifier{channel}.Sanitize()); err != nil {
		l.close()
		return nil, fmt.Errorf("listen: %w", err)
	}
	if err := conn.QueryRow(limited, began, pgx.QueryExecModeExec).Scan(&l.server); err != nil {
		l.close()
		return nil, fmt.Errorf("listen: %w", err)
	}
	return l, nil
}

// dialOnce returns a connection that pgx can close at once. By default, pgx would
// dial again to cancel the running statement, and would retry for 15 s if there is
// no reply.
func dialOnce(ctx context.Context, server *pgx.ConnConfig) (*pgx.Conn, error) {
	var connected atomic.Bool
	server = server.Copy()
	dial := server.DialFunc
	server.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		if connected.Load() {
			return nil, errors.New("no second connection is needed")
		}
		return dial(ctx, network, address)
	}
	conn, err := pgx.ConnectConfig(ctx, server)
	connected.Store(true)
	return conn, err
}

// run delivers messages until the context ends or the server does not reply.
func (l *listener) run(ctx context.Context, deliver func(message string)) error {
	for {
		message, received, err := l.wait(ctx, quiet)
		if err != nil {
			return err
		}
		if received {
			deliver(message)
			continue
		}
		echoes := l.takeEchoes()
		if err := l.ping(ctx); err != nil {
			return err
		}
		l.drain(deliver)
		for _, echo := range echoes {
			deliver(echo)
		}
	}
}

// drain delivers the messages that pgx has kept because they arrived before the reply
// to a ping. The server sends earlier notifications before the reply.
func (l *listener) drain(deliver func(message string)) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel() // do not wait
	for {
		n, _ := l.conn.WaitForNotification(ctx)
		if n == nil {
			return
		}
		if n.Channel == l.channel {
			deliver(n.Payload)
		}
	}
}

// queueEcho queues a message to be delivered as an echo.
func (l *listener) queueEcho(message string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.echoes) == maxEchoes {
		return errors.New("pgstore: echo: too many earlier echoes have not been delivered")
	}
	l.echoes = append(l.echoes, message)
	if l.wake != nil {
		l.wake()
	}
	return nil
}

// takeEchoes removes and returns the queued echoes.
func (l *listener) takeEchoes() (echoes []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	echoes, l.echoes = l.echoes, nil
	return echoes
}

// startWait registers the function that ends the current wait; queueEcho calls it.
func (l *listener) startWait(end context.CancelFunc) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.wake = end
	if len(l.echoes) > 0 {
		end()
	}
}

// wait returns the next message. received is false if the limit passes or an echo is
// queued first. The connection survives that: pgx continues where the read
// stopped.
func (l *listener) wait(ctx context.Context, limit time.Duration) (message string, received bool, err error) {
	limited, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	l.startWait(cancel)
	for {
		n, err := l.conn.WaitForNotification(limited)
		switch {
		case err == nil && n.Channel == l.channel:
			return n.Payload, true, nil
		case err == nil: // a message for a LISTEN of a pooler's earlier client
		case ctx.Err() == nil && limited.Err() != nil:
			return "", false, nil
		default:
			return "", false, err
		}
	}
}

func (l *listener) ping(ctx context.Context) error {
	limited, cancel := context.WithTimeout(ctx, pingTimeout)
	defer cancel()
	if err := l.conn.Ping(limited); err != nil {
		return fmt.Errorf("no reply to a ping: %w", err)
	}
	return nil
}

// close returns quickly, even if the server does not read the termination message.
func (l *listener) close() {
	ctx, cancel := context.WithTimeout(context.Background(), farewell)
	defer cancel()
	l.conn.Close(ctx)
	conn := l.conn.PgConn()
	conn.Conn().Close() // pgx may still hold it in the background
	<-conn.CleanupDone()
}
