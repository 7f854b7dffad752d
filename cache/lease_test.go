package cache_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/keyhatch/keyhatch/cache"
)

// a lease ends by itself, by either clock: a process that was stopped, or a machine
// that was suspended, serves no entry before it has received the changes that it missed.
func TestLeaseEndsByEitherClock(t *testing.T) {
	c := newCache(t, cache.Options{TTL: time.Hour, NegativeTTL: time.Hour})
	var calls atomic.Int64
	_, _ = c.Load(t.Context(), keyOf(0), found(7, &calls))
	_, _ = c.Load(t.Context(), keyOf(1), missing)
	c.ExtendLease(time.Now().Add(3*time.Second), 0)
	for _, tt := range []struct {
		name            string
		monotonic, wall time.Duration
		hit             bool
	}{
		{"at once", 0, 0, true},
		{"a second later", time.Second, time.Second, true},
		{"stopped", 30 * time.Second, 30 * time.Second, false},
		{"suspended", 0, 30 * time.Second, false},
		{"wall clock set back", time.Second, -time.Hour, true},
		{"wall clock set back after the lease", 4 * time.Second, -time.Hour, false},
	} {
		at := later(t, tt.monotonic, tt.wall)
		_, present := c.Get(keyOf(0), c.At(at))
		_, absent := c.Get(keyOf(1), c.At(at))
		if got := [2]bool{present == nil, absent == cache.ErrNotFound}; got != [2]bool{tt.hit, tt.hit} {
			t.Errorf("%s: value and absence served: got %v, want %t for both", tt.name, got, tt.hit)
		}
	}
	c.ExtendLease(time.Now().Add(3*time.Second), 0)
	if _, err := c.Get(keyOf(0), c.At(time.Now())); err != nil {
		t.Errorf("Get after the lease was extended again: got %v, want no error, since the end of a lease does not end entries", err)
	}
}

// a caller that arrives after the lease has ended does not get the result of an
// earlier load, even if the lease is extended before that load ends.
func TestLoadFromBeforeLeaseEnded(t *testing.T) {
	for _, again := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			c := newCache(t, cache.Options{LoadTimeout: time.Minute})
			stored, resume := good, make(chan struct{})
			load := func(context.Context) (cache.Loaded[int64], error) {
				v := stored
				<-resume
				return cache.Loaded[int64]{Value: cache.PointerTo(v)}, nil
			}
			ask := func() <-chan int64 {
				result := make(chan int64, 1)
				go func() {
					v, err := c.Load(t.Context(), keyOf(0), load)
					if err != nil {
						t.Errorf("Load: %v", err)
					}
					result <- cache.ValueOf(v)
				}()
				synctest.Wait()
				return result
			}
			c.ExtendLease(time.Now().Add(3*time.Second), 0)
			early := ask()
			inTime := ask() // joins before the lease ends
			time.Sleep(30 * time.Second)
			stored = bad
			late := ask()
			if again { // the instance has received the change, and then its own message
				c.Invalidate(keyOf(0))
				c.ExtendLease(time.Now().Add(3*time.Second), 0)
			}
			close(resume)
			<-early
			if v := <-inTime; v != good {
				t.Errorf("caller before the lease ended: got %d, want %d from the running load", v, good)
			}
			if v := <-late; v != bad {
				t.Errorf("lease extended %t: caller after the end of the lease: got %d, want %d instead of the result of an earlier load", again, v, bad)
			}
		})
	}
}

// MarkStale ends all hits, including those of loads in progress.
func TestMarkStale(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCache(t, cache.Options{})
		var calls atomic.Int64
		for i := range 100 {
			_, _ = c.Load(t.Context(), keyOf(i), found(7, &calls))
			_, _ = c.Load(t.Context(), keyOf(-1-i), missing)
		}
		resume, done := make(chan struct{}), make(chan struct{})
		go func() {
			_, _ = c.Load(t.Context(), keyOf(100), func(context.Context) (cache.Loaded[int64], error) {
				<-resume
				return cache.Loaded[int64]{Value: cache.PointerTo(int64(7))}, nil
			})
			close(done)
		}()
		synctest.Wait()
		c.MarkStale()
		close(resume)
		<-done
		for i := -100; i <= 100; i++ {
			if _, err := c.Get(keyOf(i), c.At(time.Now())); err != cache.ErrMiss {
				t.Errorf("key %d after MarkStale: got %v, want ErrMiss", i, err)
			}
		}
		_, _ = c.Load(t.Context(), keyOf(0), found(8, &calls))
		if v, err := c.Get(keyOf(0), c.At(time.Now())); cache.ValueOf(v) != 8 || err != nil {
			t.Errorf("Get of a value that was loaded after MarkStale = %d, %v, want 8", cache.ValueOf(v), err)
		}
	})
}

// In an outage, entries that are marked stale are served, but not those that were written
// or that another instance has changed.
func TestStaleMarksLeaveValuesForOutages(t *testing.T) {
	for _, tt := range []struct {
		name   string
		happen func(c *cache.Cache[int64])
		want   error
	}{
		{"marked stale", func(c *cache.Cache[int64]) { c.MarkStale() }, nil},
		{"marked stale often", func(c *cache.Cache[int64]) {
			for range 50 {
				c.MarkStale()
			}
		}, nil},
		{"bus down", func(c *cache.Cache[int64]) { c.Disconnect(time.Second) }, nil},
		{"no lease", func(c *cache.Cache[int64]) { c.ExtendLease(time.Now(), 0) }, nil},
		{"invalidated", func(c *cache.Cache[int64]) { c.Invalidate(keyOf(0)) }, errDown},
		{"group invalidated", func(c *cache.Cache[int64]) { c.InvalidateGroup(keyOf(1)) }, errDown},
		{"invalidated, then marked stale", func(c *cache.Cache[int64]) { c.Invalidate(keyOf(0)); c.MarkStale() }, errDown},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCache(t, cache.Options{StaleIfError: time.Hour})
				_, _ = c.Load(t.Context(), keyOf(0), func(context.Context) (cache.Loaded[int64], error) {
					return cache.Loaded[int64]{Value: cache.PointerTo(good), Tag: keyOf(1)}, nil
				})
				tt.happen(c)
				if _, err := c.Get(keyOf(0), c.At(time.Now())); err != cache.ErrMiss {
					t.Errorf("Get: got %v, want ErrMiss", err)
				}
				if v, err := c.Load(t.Context(), keyOf(0), down); !errors.Is(err, tt.want) {
					t.Errorf("Load in an outage = %d, %v, want %v", v, err, tt.want)
				}
			})
		})
	}
}

// After Disconnect, new values and new absences are served for at most the ttl that Disconnect
// was given. An entry with a shorter lifetime keeps it.
func TestDisconnect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCache(t, cache.Options{TTL: time.Minute, NegativeTTL: 5 * time.Second})
		var calls atomic.Int64
		lifetime := func(key int, load func(context.Context) (cache.Loaded[int64], error)) time.Duration {
			_, _ = c.Load(t.Context(), keyOf(key), load)
			began := time.Now()
			for {
				if !c.Serves(keyOf(key), time.Now()) {
					return time.Since(began)
				}
				time.Sleep(100 * time.Millisecond)
			}
		}
		between := func(what string, got, low, high time.Duration) {
			t.Helper()
			if got < low || got > high {
				t.Errorf("%s: got a lifetime of %v, want %v to %v", what, got, low, high)
			}
		}
		c.Disconnect(10 * time.Second)
		between("value, bus down", lifetime(0, found(7, &calls)), 9*time.Second, 10*time.Second)
		between("absence, bus down", lifetime(1, missing), 4500*time.Millisecond, 5*time.Second)
		c.ExtendLease(time.Now().Add(time.Hour), 0)
		between("value, bus up", lifetime(0, found(7, &calls)), 54*time.Second, time.Minute)
		_, _ = c.Load(t.Context(), keyOf(2), found(7, &calls))
		c.Disconnect(10 * time.Second)
		if _, err := c.Get(keyOf(2), c.At(time.Now())); err != cache.ErrMiss {
			t.Errorf("Get of a value that was loaded before: got %v, want ErrMiss", err)
		}
	})
}
