package rediscache_test

import (
	"context"
	"io"
	"net"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/keyhatch/keyhatch/cache/rediscache"
	"github.com/keyhatch/keyhatch/internal/testkit"
)

// pieces starts a server that replies to a subscription with the first of the given strings,
// and each ping after it with the next.
func pieces(t *testing.T, replies ...string) (address string) {
	t.Helper()
	var mu sync.Mutex
	var left []string // messages that the subscriber has not received
	return serve(t, func(conn net.Conn, command string) {
		mu.Lock()
		defer mu.Unlock()
		switch {
		case strings.Contains(command, "hello"):
			io.WriteString(conn, "-ERR unknown command\r\n")
			return
		case strings.Contains(command, "subscribe"):
			for _, piece := range replies {
				left = append(left, strings.ReplaceAll(piece, "ECHO", ownChannel.FindString(command)))
			}
		case len(left) == 0:
			io.WriteString(conn, "+PONG\r\n")
		}
		if len(left) > 0 {
			io.WriteString(conn, left[0])
			left = left[1:]
		}
	})
}

// ownChannel matches the echo channel of a Receive.
var ownChannel = regexp.MustCompile("pieces:bus:[a-z0-9]{26}")

const subscribed = "*3\r\n$9\r\nsubscribe\r\n$37\r\nECHO\r\n:1\r\n" +
	"*3\r\n$9\r\nsubscribe\r\n$10\r\npieces:bus\r\n:2\r\n"

// A ping between two pieces of a message does not damage the message.
func TestMessageInPieces(t *testing.T) {
	t.Parallel()
	var receivers []*testkit.Receiver // concurrent, since they mostly wait
	for _, sent := range [][]string{
		{"*3\r\n$7\r\nmess", "age\r\n$10\r\npieces:bus\r\n$5\r\nhello\r\n"},
		{"*3\r\n$7\r\nmessage\r\n", "$10\r\npieces:bus\r\n", "$5\r\nhello\r\n"},
		{"*3\r\n$7\r\nmessage\r\n$10\r\npieces:bus\r\n$", "5\r\nhello\r\n"},
	} {
		c := open(t, pieces(t, append([]string{subscribed}, sent...)...), &rediscache.Options{Namespace: "pieces"})
		receivers = append(receivers, testkit.Receive(t, c))
	}
	for _, r := range receivers {
		r.Wants("hello")
	}
}

// If the server confirms a subscription again, messages may have been lost before.
func TestSecondSubscriptionEndsReceive(t *testing.T) {
	t.Parallel()
	r := testkit.Receive(t, open(t, pieces(t, subscribed, subscribed), &rediscache.Options{Namespace: "pieces"}))
	r.AwaitEnd("confirmed the subscription again")
}

func TestMalformedMessageEndsReceive(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"*0\r\n", "*1\r\n:1\r\n", "*1\r\n$7\r\nmessage\r\n", "nonsense\r\n", "$-1\r\n", "-ERR\r\n"} {
		r := testkit.Receive(t, open(t, pieces(t, subscribed+text), &rediscache.Options{Namespace: "pieces"}))
		r.AwaitEnd("receive: ")
	}
}

func TestUnconfirmedSubscription(t *testing.T) {
	t.Parallel()
	for what, address := range map[string]string{
		"another channel's": pieces(t, subscribed),
		"only a message":    pieces(t, "*3\r\n$7\r\nmessage\r\n$5\r\na:bus\r\n$5\r\nhello\r\n"),
		"refused":           pieces(t, "-NOPERM\r\n"),
		"none":              pieces(t),
	} {
		c := open(t, address, &rediscache.Options{Namespace: "a"})
		err := callInTime(t, "Receive", func() error {
			return c.Receive(t.Context(), func(func(context.Context, string) error) { t.Errorf("%s: ready", what) }, nil)
		})
		if err == nil {
			t.Errorf("%s: Receive: got no error", what)
		}
	}
}
