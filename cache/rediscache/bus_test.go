package rediscache_test

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/keyhatch/keyhatch/cache"
	"github.com/keyhatch/keyhatch/cache/rediscache"
	"github.com/keyhatch/keyhatch/internal/testkit"
	"github.com/redis/go-redis/v9"
)

func TestPublishRefuses(t *testing.T) {
	t.Parallel()
	c := open(t, testkit.UseRedis(t), nil)
	r := testkit.Receive(t, c)
	for _, m := range []string{"a\nb", "a\x00", "\x7f", "ü", strings.Repeat("x", cache.MaxMessage+1)} {
		if err := c.Publish(t.Context(), m); err == nil {
			t.Errorf("Publish(%.20q): got no error", m)
		}
	}
	if err := c.Publish(t.Context(), "message"); err != nil {
		t.Error(err)
	}
	r.Wants("message")
}

// Publish returns an error if the server does not reply. It does not retry, since the
// message could then arrive after later ones.
func TestPublishIsNotRetried(t *testing.T) {
	t.Parallel()
	o := &rediscache.Options{Namespace: testkit.NewName()}
	server := testkit.StartProxy(t, testkit.UseRedis(t))
	c := open(t, server.Address(), o)
	r := testkit.Receive(t, open(t, testkit.UseRedis(t), o))
	if err := c.Publish(t.Context(), "none"); err != nil { // the server learns the script
		t.Fatal(err)
	}
	r.Wants("none")
	var hangUp atomic.Bool
	hangUp.Store(true)
	server.Intercept(func(x testkit.Piece) bool { return x.ToServer || !hangUp.CompareAndSwap(true, false) })
	if err := c.Publish(t.Context(), "one"); err == nil {
		t.Error("Publish without a reply: got no error")
	}
	if err := c.Publish(t.Context(), "two"); err != nil {
		t.Fatal(err)
	}
	r.Wants("one")
	r.Wants("two")
}

// A server that has become a replica while its connections stay open accepts
// publications and does not forward them.
func TestPublishAtAReplicaFails(t *testing.T) {
	t.Parallel()
	server, master := testkit.StartRedis(t), testkit.StartRedis(t)
	c := open(t, server.DSN(), nil)
	if err := c.Publish(t.Context(), "message"); err != nil {
		t.Fatal(err)
	}
	host, port, _ := strings.Cut(master.DSN(), ":")
	if err := newClient(t, server.DSN()).ReplicaOf(t.Context(), host, port).Err(); err != nil {
		t.Fatal(err)
	}
	if err := c.Publish(t.Context(), "message"); err == nil || !strings.Contains(err.Error(), "READONLY") {
		t.Errorf("Publish at a replica: got %v, want an error that says READONLY", err)
	}
}

// Receive also delivers a payload that is not a valid message. It may be a damaged
// message, so the receiver marks all entries stale.
func TestReceiveDeliversInvalidMessages(t *testing.T) {
	t.Parallel()
	space := testkit.NewName()
	r := testkit.Receive(t, open(t, testkit.UseRedis(t), &rediscache.Options{Namespace: space}))
	client := newClient(t, testkit.UseRedis(t))
	for _, m := range []string{"a\r\nb", "ü", strings.Repeat("x", 100_000), "message"} {
		client.Publish(t.Context(), space+":bus", m)
		r.Wants(m)
	}
}

func TestNamespacesHaveSeparateBuses(t *testing.T) {
	t.Parallel()
	one, other := open(t, testkit.UseRedis(t), nil), open(t, testkit.UseRedis(t), nil)
	r := testkit.Receive(t, one)
	for _, p := range []struct {
		c       *rediscache.Cache
		message string
	}{{other, "theirs"}, {one, "ours"}} {
		if err := p.c.Publish(t.Context(), p.message); err != nil {
			t.Fatal(err)
		}
	}
	r.Wants("ours")
}

// If the server closes the connection, Receive returns and nothing reconnects.
func TestKilledConnectionEndsReceive(t *testing.T) {
	t.Parallel()
	address := testkit.StartRedis(t).DSN()
	c, client := open(t, address, nil), newClient(t, address)
	r := testkit.Receive(t, c)
	if n, err := client.ClientKillByFilter(t.Context(), "TYPE", "pubsub").Result(); err != nil || n != 1 {
		t.Fatalf("killed %d connections, %v, want 1", n, err)
	}
	r.AwaitEnd("EOF")
	if n := countSubscribers(t, address); n != 0 {
		t.Errorf("got %d subscriptions after Receive has returned, want none", n)
	}
	testkit.Receive(t, c)
}

func countSubscribers(t *testing.T, address string) int {
	t.Helper()
	list, err := newClient(t, address).Do(t.Context(), "CLIENT", "LIST", "TYPE", "pubsub").Text()
	if err != nil {
		t.Fatal(err)
	}
	return strings.Count(list, "\n")
}

func TestReceiveLeavesNoConnection(t *testing.T) {
	t.Parallel()
	address := testkit.StartRedis(t).DSN()
	c := open(t, address, nil)
	r := testkit.Receive(t, c)
	r.End()
	testkit.Await(t, "the subscription ends", func() bool { return countSubscribers(t, address) == 0 })
}

// Receive pings a server that is silent, and continues if it replies.
func TestReceivePingsSilentServer(t *testing.T) {
	t.Parallel()
	address := testkit.StartRedis(t).DSN()
	c, client := open(t, address, nil), newClient(t, address)
	r := testkit.Receive(t, c)
	before := countPings(t, client) // the pings of Open
	testkit.Await(t, "Receive pings the server twice", func() bool { return countPings(t, client) >= before+2 })
	if err := c.Publish(t.Context(), "message"); err != nil {
		t.Fatal(err)
	}
	r.Wants("message")
}

func countPings(t *testing.T, client *redis.Client) (n int) {
	t.Helper()
	stats, err := client.Info(t.Context(), "commandstats").Result()
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ := strings.Cut(stats, "cmdstat_ping:calls=")
	fmt.Sscan(text, &n)
	return n
}
