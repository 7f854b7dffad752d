package rediscache_test

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/keyhatch/keyhatch/cache"
	"github.com/keyhatch/keyhatch/cache/rediscache"
	"github.com/keyhatch/keyhatch/internal/testkit"
)

// timeout is the Options.Timeout of the caches in these tests, whose calls fail. A call that must
// succeed is repeated until it does, since a busy machine may need longer.
const timeout = 100 * time.Millisecond

// calls returns a call to each method of cache.Shared, by name.
func calls(ctx context.Context, c *rediscache.Cache, key cache.Key, lease string) map[string]func() error {
	return map[string]func() error{
		"Get": func() error {
			_, _, err := c.Get(ctx, key)
			return err
		},
		"Set":    func() error { return c.Set(ctx, key, lease, value("v"), time.Minute) },
		"Delete": func() error { return c.Delete(ctx, key) },
	}
}

// wantFailures fails unless calls return errors within the timeout. go-redis alone would
// wait a second for each.
func wantFailures(t *testing.T, c *rediscache.Cache, lease, when string) {
	t.Helper()
	const rounds = 10
	began := time.Now()
	for range rounds {
		for name, call := range calls(t.Context(), c, newKey(), lease) {
			if err := call(); err == nil || errors.Is(err, cache.ErrMiss) {
				t.Errorf("%s %s: got %v, want an error", name, when, err)
			}
		}
	}
	if took := time.Since(began); took >= rounds*time.Second {
		t.Errorf("%d calls to each method %s took %v, want at most %v each", rounds, when, took, timeout)
	}
}

// awaitWorking waits until all calls succeed, which may take a trial of the breaker. It
// returns a lease.
func awaitWorking(t *testing.T, c *rediscache.Cache) (lease string) {
	t.Helper()
	testkit.Await(t, "the shared cache works", func() bool {
		key := newKey()
		_, lease, _ = c.Get(t.Context(), key)
		if lease == "" || c.Set(t.Context(), key, lease, value("v"), time.Minute) != nil {
			return false
		}
		item, _, err := c.Get(t.Context(), key)
		return err == nil && string(item.Value) == "v" && c.Delete(t.Context(), key) == nil
	})
	return lease
}

func TestKilledServer(t *testing.T) {
	t.Parallel()
	server := testkit.StartRedis(t)
	c := open(t, server.DSN(), &rediscache.Options{Timeout: timeout})
	r, lease := testkit.Receive(t, c), awaitWorking(t, c)
	server.Kill()
	r.AwaitEnd("")
	wantFailures(t, c, lease, "while the server is down")
	if err := callInTime(t, "Publish", func() error { return c.Publish(t.Context(), "m") }); err == nil {
		t.Error("Publish while the server is down: got no error")
	}
	err := callInTime(t, "Receive", func() error {
		return c.Receive(t.Context(), func(func(context.Context, string) error) { t.Error("ready") }, nil)
	})
	if err == nil {
		t.Error("Receive while the server is down: got no error")
	}
	server.Start()
	awaitWorking(t, c)
	r = testkit.Receive(t, c)
	testkit.Await(t, "Publish works again", func() bool { return c.Publish(t.Context(), "m") == nil })
	r.Wants("m")
}

// A lost packet is noticed on existing connections and on new ones.
func TestBlackHole(t *testing.T) {
	t.Parallel()
	hole := testkit.StartProxy(t, testkit.UseRedis(t))
	c := open(t, hole.Address(), &rediscache.Options{Timeout: timeout})
	r, lease := testkit.Receive(t, c), awaitWorking(t, c)
	hole.Inject(testkit.BlackHole)
	r.AwaitEnd("timeout")
	wantFailures(t, c, lease, "in a black hole")
	if err := callInTime(t, "Publish", func() error { return c.Publish(t.Context(), "m") }); err == nil {
		t.Error("Publish in a black hole: got no error")
	}
	err := callInTime(t, "Receive", func() error {
		return c.Receive(t.Context(), func(func(context.Context, string) error) { t.Error("ready") }, nil)
	})
	if err == nil {
		t.Error("Receive in a black hole: got no error")
	}
	hole.Heal()
	awaitWorking(t, c)
}

// Receive returns when its context ends, even while it connects.
func TestBlackHoleReceiveHeedsItsContext(t *testing.T) {
	t.Parallel()
	hole := testkit.StartProxy(t, testkit.UseRedis(t))
	c := open(t, hole.Address(), &rediscache.Options{Timeout: time.Minute})
	hole.Inject(testkit.BlackHole)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	err := callInTime(t, "Receive", func() error { return c.Receive(ctx, func(func(context.Context, string) error) {}, nil) })
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want the context's error", err)
	}
}

// Receive does not reopen a lost subscription.
func TestReceiveConnectsOnce(t *testing.T) {
	t.Parallel()
	server := testkit.StartProxy(t, testkit.UseRedis(t))
	c := open(t, server.Address(), nil)
	before := server.Accepted()
	r := testkit.Receive(t, c)
	server.Sever()
	r.AwaitEnd("")
	// The proxy accepts connections in their order, so this one comes after Receive's.
	if err := newClient(t, server.Address()).Ping(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	if n := server.Accepted() - before - 1; n != 1 {
		t.Errorf("connections that Receive opened: got %d, want 1", n)
	}
}

// Failed calls do not leak goroutines. The test does not run in parallel, so that
// it can count goroutines.
func TestCallsDoNotPileUp(t *testing.T) {
	hole := testkit.StartProxy(t, testkit.UseRedis(t))
	c := open(t, hole.Address(), &rediscache.Options{Timeout: timeout})
	lease := awaitWorking(t, c)
	hole.Inject(testkit.BlackHole)
	before := runtime.NumGoroutine()
	var wg sync.WaitGroup
	for range 1000 {
		wg.Go(func() {
			for name, call := range calls(t.Context(), c, newKey(), lease) {
				if call() == nil {
					t.Errorf("%s in a black hole: got no error", name)
				}
			}
		})
	}
	began := time.Now()
	wg.Wait()
	t.Logf("that took %v", time.Since(began).Round(time.Millisecond))
	testkit.Await(t, "the goroutines end", func() bool {
		hole.Sever() // again: a dial of an abandoned call may still connect
		return runtime.NumGoroutine() <= before+5
	})
}

// The breaker keeps Get and Set from calling a failed server, but never Delete.
func TestBreaker(t *testing.T) {
	t.Parallel()
	hole := testkit.StartProxy(t, testkit.UseRedis(t))
	c := open(t, hole.Address(), &rediscache.Options{Timeout: timeout})
	key, lease := newKey(), awaitWorking(t, c)
	hole.Inject(testkit.BlackHole)
	var sent atomic.Int64
	hole.Intercept(func(x testkit.Piece) bool {
		if x.ToServer {
			sent.Add(1)
		}
		return true
	})
	attempts := func() int { return int(sent.Load()) + hole.Accepted() }
	all := calls(t.Context(), c, key, lease)
	for range 5 {
		if _, _, err := c.Get(t.Context(), newKey()); err == nil {
			t.Fatal("Get in a black hole: got no error")
		}
	}
	before, began := attempts(), time.Now()
	for range 100 {
		for _, name := range []string{"Get", "Set"} {
			if all[name]() == nil {
				t.Errorf("%s with an open breaker: got no error", name)
			}
		}
	}
	trials := 1 + int(time.Since(began)/(375*time.Millisecond)) // the shortest pause between two
	if n := attempts() - before; n > 2*trials {                 // a trial may have to connect
		t.Errorf("attempts of 200 calls with an open breaker to reach the server: got %d, want at most %d", n, 2*trials)
	}
	for range 3 { // one of them could be a trial
		if err := all["Delete"](); isRefused(err) {
			t.Errorf("Delete must call the server even if the breaker is open: got %v", err)
		}
	}
	hole.Heal()
	awaitWorking(t, c)
	for range 100 { // failures of one key, on a busy machine, do not open the breaker again
		if err := all["Get"](); isRefused(err) {
			t.Fatalf("Get once the breaker has closed: %v", err)
		}
	}
}

// isRefused reports whether the circuit breaker has refused the call.
func isRefused(err error) bool { return err != nil && strings.Contains(err.Error(), "circuit breaker") }

// A caller that gives up says nothing about the server.
func TestBreakerIgnoresCallersThatGiveUp(t *testing.T) {
	t.Parallel()
	c := open(t, testkit.UseRedis(t), nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for range 20 {
		if _, _, err := c.Get(ctx, newKey()); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want the context's error", err)
		}
	}
	wantMiss(t, c, newKey(), "a key that was never set")
}
