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
	listenTimeout = 2 * time.Second // after connecting
	quiet         = time.Second     // how long nothing may come before the server is asked
	farewell      = 100 * time.Millisecond
	maxEchoes     = 64
)

// A listener is a connection that hears what is sent to one channel.
type listener struct {
	conn    *pgx.Conn
	channel string
	server  int64 // when it began

	mu     sync.Mutex
	echoes []string           // to be delivered behind what the server has
	wake   context.CancelFunc // of the wait that is under way
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

// dialOnce returns a connection that pgx can give up at once. As it is, pgx
// would dial again, to cancel what the server is doing, and go on trying for
// fifteen seconds where nobody answers.
func dialOnce(ctx context.Context, server *pgx.ConnConfig) (*pgx.Conn, error) {
	var connected atomic.Bool
	server = server.Copy()
	dial := server.DialFunc
	server.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		if connected.Load() {
			return nil, errors.New("there is nothing to cancel")
		}
		return dial(ctx, network, address)
	}
	conn, err := pgx.ConnectConfig(ctx, server)
	connected.Store(true)
	return conn, err
}

// run delivers until the context ends or the server does not answer.
func (l *listener) run(ctx context.Context, deliver func(message string)) error {
	for {
		message, heard, err := l.wait(ctx, quiet)
		if err != nil {
			return err
		}
		if heard {
			deliver(message)
			continue
		}
		echoes := l.asked()
		if err := l.ping(ctx); err != nil {
			return err
		}
		l.drain(deliver)
		for _, echo := range echoes {
			deliver(echo)
		}
	}
}

// drain delivers what came before the answer to a ping, which pgx has kept. A
// server sends what was notified before the ping ahead of the answer.
func (l *listener) drain(deliver func(message string)) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel() // waits for nothing
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

// ask has a message delivered as an echo.
func (l *listener) ask(message string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.echoes) == maxEchoes {
		return errors.New("pgstore: echo: earlier ones have not been delivered")
	}
	l.echoes = append(l.echoes, message)
	if l.wake != nil {
		l.wake()
	}
	return nil
}

// asked returns the messages that ask was given.
func (l *listener) asked() (echoes []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	echoes, l.echoes = l.echoes, nil
	return echoes
}

// waits begins a wait that ask ends.
func (l *listener) waits(end context.CancelFunc) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.wake = end
	if len(l.echoes) > 0 {
		end()
	}
}

// wait returns the next message, if one is heard in time and before an echo is
// asked for. A connection lasts
// over a wait in vain: pgx goes on where the read was broken off.
func (l *listener) wait(ctx context.Context, limit time.Duration) (message string, heard bool, err error) {
	limited, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	l.waits(cancel)
	for {
		n, err := l.conn.WaitForNotification(limited)
		switch {
		case err == nil && n.Channel == l.channel:
			return n.Payload, true, nil
		case err == nil: // left over from another client of a pooler
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
		return fmt.Errorf("no answer to a ping: %w", err)
	}
	return nil
}

// close returns soon, also where nobody reads the farewell.
func (l *listener) close() {
	ctx, cancel := context.WithTimeout(context.Background(), farewell)
	defer cancel()
	l.conn.Close(ctx)
	conn := l.conn.PgConn()
	conn.Conn().Close() // which pgx, where it has given up, still holds in the background
	<-conn.CleanupDone()
}
