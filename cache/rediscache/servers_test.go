package rediscache_test

import (
	"crypto/rand"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/keyhatch/keyhatch/cache"
	"github.com/keyhatch/keyhatch/cache/rediscache"
	"github.com/keyhatch/keyhatch/internal/testkit"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
)

func TestMain(m *testing.M) {
	logging.Disable() // go-redis logs each connection that fails
	os.Exit(testkit.Run(m))
}

// patience bounds what takes milliseconds on an idle machine.
const patience = 10 * time.Second

var secret = []byte("a secret of the tests, 32 bytes..")

// open opens a Cache in a namespace of its own, unless the options name one.
func open(t testing.TB, address string, o *rediscache.Options) *rediscache.Cache {
	t.Helper()
	opts := rediscache.Options{}
	if o != nil {
		opts = *o
	}
	if opts.Namespace == "" {
		opts.Namespace = testkit.NewName()
	}
	if opts.Timeout == 0 {
		opts.Timeout = patience // a busy machine is not an outage
	}
	if !strings.Contains(address, "://") {
		address = "redis://" + address + "?dial_timeout=" + patience.String()
	}
	c, err := rediscache.Open(t.Context(), address, secret, &opts)
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return c
}

// newClient returns a client without a Cache, which acts as another program.
func newClient(t testing.TB, address string) *redis.Client {
	t.Helper()
	client := redis.NewClient(&redis.Options{Addr: address, Protocol: 2})
	t.Cleanup(func() { client.Close() })
	return client
}

func newKey() (key cache.Key) {
	rand.Read(key[:])
	return key
}

func value(s string) cache.Item { return cache.Item{Value: []byte(s)} }

var absent = cache.Item{Absent: true}

// fill sets an item under the lease of a miss.
func fill(t testing.TB, c *rediscache.Cache, key cache.Key, item cache.Item) {
	t.Helper()
	if err := c.Set(t.Context(), key, wantMiss(t, c, key, "a key that was never set"), item, time.Minute); err != nil {
		t.Fatalf("Set: %v", err)
	}
}

func wantMiss(t testing.TB, c *rediscache.Cache, key cache.Key, what string) (lease string) {
	t.Helper()
	item, lease, err := c.Get(t.Context(), key)
	if err != cache.ErrMiss || lease == "" {
		t.Fatalf("%s: got %.40q, absent %v, lease %q, error %v, want a miss", what, item.Value, item.Absent, lease, err)
	}
	return lease
}

func wantItem(t testing.TB, c *rediscache.Cache, key cache.Key, want cache.Item, what string) cache.Item {
	t.Helper()
	item, _, err := c.Get(t.Context(), key)
	if err != nil || string(item.Value) != string(want.Value) || item.Absent != want.Absent {
		t.Fatalf("%s: got %.40q, absent %v, error %v, want %.40q, absent %v", what, item.Value, item.Absent, err, want.Value, want.Absent)
	}
	return item
}

// callInTime returns the error of a call that is bounded by a second or two. It fails if
// the call takes longer than patience.
func callInTime(t testing.TB, what string, call func() error) error {
	t.Helper()
	began := time.Now()
	err := call()
	if took := time.Since(began); took > patience {
		t.Errorf("%s took %v, want at most %v", what, took, patience)
	}
	return err
}
