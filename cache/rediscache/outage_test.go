package rediscache_test

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/keyhatch/keyhatch/cache"
	"github.com/keyhatch/keyhatch/cache/rediscache"
)

// timeout is that of the caches below, grace what a busy machine adds to it.
const (
	timeout = 100 * time.Millisecond
	grace   = 300 * time.Millisecond
)

// noticed is how long Receive may take to notice that nobody answers, 1.5 s and
// what a busy machine adds to it.
const noticed = 2 * time.Second

// calls are the level's, each with its name.
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

// fails calls each and fails unless it returns an error in time.
func fails(t *testing.T, c *rediscache.Cache, lease, when string) {
	t.Helper()
	for name, call := range calls(t.Context(), c, newKey(), lease) {
		err := within(t, timeout+grace, name+" "+when, call)
		if err == nil || errors.Is(err, cache.ErrMiss) {
			t.Errorf("%s %s: got %v, want an error", name, when, err)
		}
	}
}

// works waits until all calls do, which may take a trial of the breaker.
func works(t *testing.T, c *rediscache.Cache) {
	t.Helper()
	key := newKey()
	eventually(t, "the level works again", func() bool {
		_, _, err := c.Get(t.Context(), key)
		return errors.Is(err, cache.ErrMiss)
	})
	fill(t, c, key, value("v"))
	holds(t, c, key, value("v"), "a value that was set after an outage")
}

func TestKilledServer(t *testing.T) {
	t.Parallel()
	server := private(t)
	c := open(t, server.DSN(), &rediscache.Options{Timeout: timeout})
	r := receive(t, c)
	lease := miss(t, c, newKey(), "a key that was never set")
	server.Kill()
	r.ends(t, 800*time.Millisecond, "")
	for range 10 {
		fails(t, c, lease, "while the server is down")
	}
	if err := within(t, time.Second+grace, "Publish", func() error { return c.Publish(t.Context(), "m") }); err == nil {
		t.Error("Publish succeeds while the server is down")
	}
	err := within(t, time.Second+grace, "Receive", func() error {
		return c.Receive(t.Context(), func(func(context.Context, string) error) { t.Error("ready") }, nil)
	})
	if err == nil {
		t.Error("Receive succeeds while the server is down")
	}
	server.Start()
	works(t, c)
	r = receive(t, c)
	eventually(t, "Publish works again", func() bool { return c.Publish(t.Context(), "m") == nil })
	r.gets(t, "m")
}

// What a black hole swallows is noticed, on connections from before and on new
// ones.
func TestBlackHole(t *testing.T) {
	t.Parallel()
	hole := newProxy(t, shared(t))
	c := open(t, hole.address, &rediscache.Options{Timeout: timeout})
	r := receive(t, c)
	lease := miss(t, c, newKey(), "a key that was never set")
	hole.swallow.Store(true)
	r.ends(t, noticed, "timeout")
	for range 10 {
		fails(t, c, lease, "in a black hole")
	}
	if err := within(t, time.Second+grace, "Publish", func() error { return c.Publish(t.Context(), "m") }); err == nil {
		t.Error("Publish succeeds in a black hole")
	}
	err := within(t, 2*time.Second+grace, "Receive", func() error {
		return c.Receive(t.Context(), func(func(context.Context, string) error) { t.Error("ready") }, nil)
	})
	if err == nil {
		t.Error("Receive succeeds in a black hole")
	}
	hole.swallow.Store(false)
	works(t, c)
}

// The end of its context ends Receive while it connects.
func TestBlackHoleReceiveHeedsItsContext(t *testing.T) {
	t.Parallel()
	hole := newProxy(t, shared(t))
	c := open(t, hole.address, nil)
	hole.swallow.Store(true)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	err := within(t, 50*time.Millisecond+grace, "Receive", func() error { return c.Receive(ctx, func(func(context.Context, string) error) {}, nil) })
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want the context's error", err)
	}
}

// Nothing is opened in place of a lost subscription.
func TestReceiveConnectsOnce(t *testing.T) {
	t.Parallel()
	server := newProxy(t, shared(t))
	c := open(t, server.address, nil)
	before := server.opened.Load()
	r := receive(t, c)
	server.sever()
	r.ends(t, time.Second, "")
	time.Sleep(100 * time.Millisecond)
	if n := server.opened.Load() - before; n != 1 {
		t.Errorf("Receive has opened %d connections, want 1", n)
	}
}

// Calls that fail leave nothing behind, however many they are. Alone, so that
// all goroutines are this test's.
func TestCallsDoNotPileUp(t *testing.T) {
	hole := newProxy(t, shared(t))
	c := open(t, hole.address, &rediscache.Options{Timeout: timeout})
	lease := miss(t, c, newKey(), "a key that was never set")
	hole.swallow.Store(true)
	before := runtime.NumGoroutine()
	var wg sync.WaitGroup
	for range 1000 {
		wg.Go(func() {
			for name, call := range calls(t.Context(), c, newKey(), lease) {
				if call() == nil {
					t.Errorf("%s succeeds in a black hole", name)
				}
			}
		})
	}
	began := time.Now()
	wg.Wait()
	t.Logf("that took %v", time.Since(began).Round(time.Millisecond))
	hole.sever()
	eventually(t, "the goroutines end", func() bool { return runtime.NumGoroutine() <= before+5 })
}

// The breaker keeps Get and Set from a server that has failed, but never
// Delete.
func TestBreaker(t *testing.T) {
	t.Parallel()
	hole := newProxy(t, shared(t))
	c := open(t, hole.address, &rediscache.Options{Timeout: timeout})
	key := newKey()
	lease := miss(t, c, key, "a key that was never set")
	hole.swallow.Store(true)
	all := calls(t.Context(), c, key, lease)
	for range 5 {
		if _, _, err := c.Get(t.Context(), newKey()); err == nil {
			t.Fatal("Get succeeds in a black hole")
		}
	}
	for range 100 {
		for _, name := range []string{"Get", "Set"} {
			if err := within(t, timeout/2, name+" behind the breaker", all[name]); err == nil {
				t.Errorf("%s behind the breaker succeeds", name)
			}
		}
	}
	hole.swallow.Store(false)
	asked := time.Now()
	if err := all["Delete"](); err != nil && time.Since(asked) < timeout { // a busy machine may take that long
		t.Errorf("Delete does not wait for the breaker: %v", err)
	}
	if err := all["Get"](); err == nil || errors.Is(err, cache.ErrMiss) {
		t.Errorf("Get before the next trial: got %v, want an error", err)
	}
	began := time.Now()
	works(t, c)
	if took := time.Since(began); took > 1500*time.Millisecond {
		t.Errorf("the breaker has let a trial pass after %v, want about a second", took)
	}
	for range 100 {
		miss(t, c, newKey(), "a key that was never set, once the breaker has closed")
	}
}

// A caller that gives up says nothing about the server.
func TestBreakerIgnoresCallersThatGiveUp(t *testing.T) {
	t.Parallel()
	c := open(t, shared(t), nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for range 20 {
		if _, _, err := c.Get(ctx, newKey()); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want the context's error", err)
		}
	}
	miss(t, c, newKey(), "a key that was never set")
}
