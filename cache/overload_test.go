package cache_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/keyhatch/keyhatch/cache"
)

type loadFunc = func(context.Context) (cache.Loaded[int64], error)

// takes returns a load function that returns v after d.
func takes(d time.Duration, v int64) loadFunc {
	return func(context.Context) (cache.Loaded[int64], error) {
		time.Sleep(d)
		return cache.Loaded[int64]{Value: cache.PointerTo(v)}, nil
	}
}

// know loads n keys, beginning with the given one, and waits until their entries have
// expired.
func know(t *testing.T, c *cache.Cache[int64], from, n int, ttl time.Duration) {
	t.Helper()
	for i := range n {
		if _, err := c.Load(t.Context(), keyOf(from+i), takes(0, 1)); err != nil {
			t.Fatal(err)
		}
		if i%100 == 0 {
			time.Sleep(time.Millisecond) // ristretto drops bursts
		}
	}
	time.Sleep(ttl)
}

// flood starts loads of n unknown keys, and returns when all have begun.
func flood(t *testing.T, c *cache.Cache[int64], n int, load loadFunc) {
	for i := range n {
		go func() { _, _ = c.Load(t.Context(), keyOf(1_000_000+i), load) }()
	}
	synctest.Wait()
}

// C-14: at most 64 loads run at once, and at most 16 of them of keys that are
// not known.
func TestPlacesOfLoads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 500
		c := newCache(t, cache.Options{TTL: time.Minute})
		know(t, c, 0, n, time.Minute)
		var now, most, unknown, mostUnknown atomic.Int64
		enter := func(now, most *atomic.Int64) {
			if n := now.Add(1); n > most.Load() {
				most.Store(n)
			}
		}
		var all sync.WaitGroup
		for i := range 2 * n {
			all.Go(func() {
				_, err := c.Load(t.Context(), keyOf(i), func(context.Context) (cache.Loaded[int64], error) {
					enter(&now, &most)
					defer now.Add(-1)
					if i >= n {
						enter(&unknown, &mostUnknown)
						defer unknown.Add(-1)
					}
					time.Sleep(time.Millisecond)
					return cache.Loaded[int64]{Value: cache.PointerTo(int64(2))}, nil
				})
				if err != nil {
					t.Errorf("Load: %v", err)
				}
			})
		}
		all.Wait()
		if most.Load() != 64 || mostUnknown.Load() != 16 {
			t.Errorf("got %d concurrent loads, %d of them of unknown keys, want 64 and 16", most.Load(), mostUnknown.Load())
		}
	})
}

// C-14: unknown keys that take all of their places, and the whole queue, do not delay
// loads of known keys.
func TestKnownKeysHaveSeparatePlaces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCache(t, cache.Options{TTL: time.Minute})
		know(t, c, 0, 10, time.Minute)
		flood(t, c, 5_000, takes(time.Second, 2))
		for i := range 10 {
			began := time.Now()
			if v, err := c.Load(t.Context(), keyOf(i), takes(0, 2)); cache.ValueOf(v) != 2 || err != nil || time.Since(began) > 0 {
				t.Errorf("Load of a known key during a flood: got %d, %v after %v, want its value without waiting", cache.ValueOf(v), err, time.Since(began))
			}
		}
		began := time.Now()
		if _, err := c.Load(t.Context(), keyOf(100), takes(0, 2)); err != cache.ErrOverloaded || time.Since(began) > 0 {
			t.Errorf("Load of an unknown key in a flood: got %v after %v, want ErrOverloaded at once", err, time.Since(began))
		}
		time.Sleep(time.Minute)
	})
}

// C-15: known keys that are all loaded at once, as after a lost connection of the bus, do
// not delay unknown keys.
func TestUnknownKeysHaveSeparatePlaces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 1_000
		c := newCache(t, cache.Options{TTL: time.Minute})
		know(t, c, 0, n, time.Minute)
		for i := range n {
			go func() { _, _ = c.Load(t.Context(), keyOf(i), takes(time.Second, 2)) }()
		}
		synctest.Wait()
		began := time.Now()
		if v, err := c.Load(t.Context(), keyOf(n), takes(0, 2)); cache.ValueOf(v) != 2 || err != nil || time.Since(began) > 0 {
			t.Errorf("Load of an unknown key during loads of known ones: got %d, %v after %v, want its value without waiting", cache.ValueOf(v), err, time.Since(began))
		}
		time.Sleep(time.Minute)
	})
}

// C-14: keys whose value has ended, such as revoked keys, count as unknown: they take no
// place of a known key, and are not renewed before they expire.
func TestEndedKeysAreNotKnown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 500
		c := newCache(t, cache.Options{TTL: time.Minute})
		var calls atomic.Int64
		ended := func(d time.Duration) loadFunc {
			return func(context.Context) (cache.Loaded[int64], error) {
				calls.Add(1)
				time.Sleep(d)
				return cache.Loaded[int64]{Value: cache.PointerTo(int64(1)), Ended: true}, nil
			}
		}
		know(t, c, n, 1, 0)
		for i := range n {
			_, _ = c.Load(t.Context(), keyOf(i), ended(0))
		}
		time.Sleep(53 * time.Second)
		v, err := c.Load(t.Context(), keyOf(0), ended(0))
		synctest.Wait()
		if cache.ValueOf(v) != 1 || err != nil || calls.Load() != n {
			t.Errorf("Load of an ended key shortly before it expires: got %d, %v after %d loads, want its value without another load", cache.ValueOf(v), err, calls.Load()-n)
		}
		time.Sleep(time.Minute)
		for i := range n {
			go func() { _, _ = c.Load(t.Context(), keyOf(i), ended(time.Second)) }()
		}
		synctest.Wait()
		began := time.Now()
		if v, err := c.Load(t.Context(), keyOf(n), takes(0, 2)); cache.ValueOf(v) != 2 || err != nil || time.Since(began) > 0 {
			t.Errorf("Load of a known key during loads of ended ones: got %d, %v after %v, want its value without waiting", cache.ValueOf(v), err, time.Since(began))
		}
		time.Sleep(time.Minute)
	})
}

// C-14, invariant 9: a load that did not run does not count as a failure, so the circuit
// breaker stays closed.
func TestOverloadIsNotAFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCache(t, cache.Options{})
		flood(t, c, 1_000, takes(1500*time.Millisecond, 2))
		time.Sleep(time.Second) // longer than the wait in the queue
		for i := range 10 {
			go func() {
				if v, err := c.Load(t.Context(), keyOf(i), takes(0, 2)); cache.ValueOf(v) != 2 || err != nil {
					t.Errorf("Load from a slow store that works: got %d, %v, want its value", cache.ValueOf(v), err)
				}
			}()
		}
		time.Sleep(time.Minute)
	})
}

// C-14, invariant 9: no stale value is served while known keys wait for their places.
func TestOverloadServesNothingStale(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 1_500
		c := newCache(t, cache.Options{TTL: time.Minute, StaleIfError: time.Hour, LoadTimeout: 600 * time.Millisecond})
		know(t, c, 0, n, time.Minute)
		var all sync.WaitGroup
		for i := range n {
			all.Go(func() {
				if v, err := c.Load(t.Context(), keyOf(i), takes(30*time.Millisecond, 2)); cache.ValueOf(v) != 2 || err != nil {
					t.Errorf("Load in an overload: got %d, %v, want the new value", cache.ValueOf(v), err)
				}
			})
		}
		all.Wait()
	})
}

// C-14: known keys that are all loaded at once, as after a lost connection of the bus, wait
// for their places, however many there are.
func TestAllKnownKeysWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 5_000
		c := newCache(t, cache.Options{TTL: time.Hour})
		know(t, c, 0, n, 0)
		c.MarkStale()
		connections := make(chan struct{}, 10)
		load := func(ctx context.Context) (cache.Loaded[int64], error) {
			connections <- struct{}{}
			defer func() { <-connections }()
			return takes(20*time.Millisecond, 2)(ctx)
		}
		var refused atomic.Int64
		var all sync.WaitGroup
		for i := range n {
			all.Go(func() {
				if _, err := c.Load(t.Context(), keyOf(i), load); err != nil {
					refused.Add(1)
				}
			})
		}
		all.Wait()
		if refused.Load() > 0 {
			t.Errorf("got %d of %d known keys refused although the store works", refused.Load(), n)
		}
	})
}

// C-14: a known key waits for its place for at most four LoadTimeouts, even if the source
// serves other calls all the time.
func TestKnownKeysDoNotWaitForever(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n, timeout = 2_000, time.Second
		c := newCache(t, cache.Options{TTL: time.Hour, LoadTimeout: timeout})
		know(t, c, 0, n, 0)
		c.MarkStale()
		connection := make(chan struct{}, 1)
		began := time.Now()
		var refused atomic.Int64
		var all sync.WaitGroup
		for i := range n {
			all.Go(func() {
				_, err := c.Load(t.Context(), keyOf(i), func(ctx context.Context) (cache.Loaded[int64], error) {
					connection <- struct{}{}
					defer func() { <-connection }()
					return takes(10*time.Millisecond, 2)(ctx)
				})
				took := time.Since(began)
				if err == cache.ErrOverloaded {
					refused.Add(1)
				} else if err != nil {
					t.Errorf("Load of a known key after %v: got %v, want ErrOverloaded", took, err)
				}
				if took > 6*timeout {
					t.Errorf("Load of a known key took %v, want at most about four LoadTimeouts of %v", took, timeout)
				}
			})
		}
		all.Wait()
		if refused.Load() == 0 {
			t.Error("got no known key refused, although the source needs 20 LoadTimeouts for all of them")
		}
	})
}

// If the source hangs, known keys stop waiting for their places.
func TestKnownKeysDoNotWaitForASourceThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 1_000
		c := newCache(t, cache.Options{TTL: time.Minute})
		know(t, c, 0, n, time.Minute)
		hung := make(chan struct{})
		began := time.Now()
		var all sync.WaitGroup
		for i := range n {
			all.Go(func() {
				_, err := c.Load(t.Context(), keyOf(i), func(ctx context.Context) (cache.Loaded[int64], error) {
					if time.Since(began) < time.Second {
						return takes(900*time.Millisecond, 2)(ctx)
					}
					<-hung
					return cache.Loaded[int64]{}, errors.New("hung")
				})
				if took := time.Since(began); err == cache.ErrOverloaded || took > 5*time.Second {
					t.Errorf("Load from a source that has hung for 1.8 s: got %v after %v, want an outage error within the LoadTimeout of 3 s", err, took)
				}
			})
		}
		all.Wait()
		close(hung)
	})
}

// C-14, invariant 9: a load that reports that it did not call its source has not failed. No
// stale value is served, and the circuit breaker stays closed, unless it is open already.
func TestLoadWithoutSourceCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCache(t, cache.Options{TTL: time.Minute, StaleIfError: time.Hour})
		know(t, c, 0, 20, time.Minute)
		busy := func(context.Context) (cache.Loaded[int64], error) {
			time.Sleep(2 * time.Second)
			return cache.Loaded[int64]{}, cache.ErrOverloaded
		}
		for i := range 20 {
			go func() {
				if v, err := c.Load(t.Context(), keyOf(100+i), busy); err != cache.ErrOverloaded {
					t.Errorf("Load of an unknown key that called no source: got %d, %v, want ErrOverloaded", v, err)
				}
			}()
		}
		time.Sleep(10 * time.Second)
		quick := func(context.Context) (cache.Loaded[int64], error) { return cache.Loaded[int64]{}, cache.ErrOverloaded }
		if v, err := c.Load(t.Context(), keyOf(0), quick); err != cache.ErrOverloaded {
			t.Errorf("Load of a known key that called no source: got %d, %v, want ErrOverloaded", v, err)
		}
		if v, err := c.Load(t.Context(), keyOf(1), takes(0, 2)); cache.ValueOf(v) != 2 || err != nil {
			t.Errorf("Load after loads that called no source: got %d, %v, want its value", cache.ValueOf(v), err)
		}
		hang(t, c, 5)
		time.Sleep(time.Second)
		if v, err := c.Load(t.Context(), keyOf(2), quick); cache.ValueOf(v) != 1 || err != nil {
			t.Errorf("Load of a known key in an outage: got %d, %v, want the previous value", cache.ValueOf(v), err)
		}
	})
}

// C-14: the number of callers that wait for one slow load is bounded.
func TestCallersOfOneLoadAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCache(t, cache.Options{LoadTimeout: 2 * time.Second})
		var waited, refused atomic.Int64
		for n := range 3_000 {
			if n == 2_000 {
				time.Sleep(500 * time.Millisecond)
			}
			go func() {
				switch _, err := c.Load(t.Context(), keyOf(0), takes(time.Second, 2)); err {
				case nil:
					waited.Add(1)
				case cache.ErrOverloaded:
					refused.Add(1)
				default:
					t.Errorf("Load: %v", err)
				}
			}()
		}
		time.Sleep(time.Minute)
		if waited.Load() != 2_000 || refused.Load() != 1_000 {
			t.Errorf("got %d callers that waited for one load and %d callers that were refused, want 2,000 and 1,000", waited.Load(), refused.Load())
		}
	})
}

// a store that hangs and ignores contexts counts as an outage, although its calls
// hold all places: entries that StaleIfError allows are served soon, and no call returns
// ErrOverloaded.
func TestHungCallsAreAnOutage(t *testing.T) {
	for _, n := range []int{3, 200} {
		synctest.Test(t, func(t *testing.T) {
			c := newCache(t, cache.Options{TTL: time.Minute, StaleIfError: time.Hour})
			know(t, c, 0, n, time.Minute)
			hung := make(chan struct{})
			hangs := func(context.Context) (cache.Loaded[int64], error) {
				<-hung
				return cache.Loaded[int64]{Value: cache.PointerTo(int64(2))}, nil
			}
			end := time.Now().Add(4 * time.Minute)
			var all sync.WaitGroup
			var calls, slow atomic.Int64
			for i := range n {
				all.Go(func() {
					for time.Now().Before(end) {
						began := time.Now()
						if v, err := c.Load(t.Context(), keyOf(i), hangs); cache.ValueOf(v) != 1 || err != nil || time.Since(began) > 100*time.Millisecond {
							t.Errorf("%d known keys, store hangs: Load: got %d, %v after %v, want the previous value within 0.1 s", n, cache.ValueOf(v), err, time.Since(began))
							return
						}
						if calls.Add(1); time.Since(began) > time.Millisecond {
							slow.Add(1)
						}
						time.Sleep(100 * time.Millisecond)
					}
				})
			}
			all.Wait()
			if n > 10 && slow.Load() > calls.Load()/50 {
				t.Errorf("%d of %d loads waited for a store that is known to hang, want one at a time", slow.Load(), calls.Load())
			}
			if _, err := c.Load(t.Context(), keyOf(1_000), hangs); err == nil || err == cache.ErrOverloaded {
				t.Errorf("%d known keys, store hangs: Load of an unknown key: got %v, want an outage error", n, err)
			}
			close(hung)
			time.Sleep(10 * time.Second)
			if v, err := c.Load(t.Context(), keyOf(1_001), takes(0, 2)); cache.ValueOf(v) != 2 || err != nil {
				t.Errorf("%d known keys: Load after the store has recovered: got %d, %v", n, cache.ValueOf(v), err)
			}
		})
	}
}

// if the calls for unknown keys hang, they hold all places for such keys. Then Load of an unknown
// key returns an outage error.
func TestHungCallsOfUnknownKeysAreAnOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCache(t, cache.Options{TTL: time.Minute})
		hung := make(chan struct{})
		for i := range 60 {
			_, err := c.Load(t.Context(), keyOf(i), func(context.Context) (cache.Loaded[int64], error) {
				<-hung
				return cache.Loaded[int64]{Value: cache.PointerTo(int64(2))}, nil
			})
			if err == nil || err == cache.ErrOverloaded {
				t.Errorf("Load %d of unknown keys from a source that hangs: got %v, want an outage error", i+1, err)
			}
			time.Sleep(time.Second)
		}
		close(hung)
	})
}

// The LoadTimeout of a load starts when it has its place.
func TestLoadTimeoutStartsWithThePlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCache(t, cache.Options{LoadTimeout: 3 * time.Second})
		flood(t, c, 16, takes(500*time.Millisecond, 2))
		began := time.Now()
		v, err := c.Load(t.Context(), keyOf(0), takes(2900*time.Millisecond, 2))
		if cache.ValueOf(v) != 2 || err != nil || time.Since(began) != 3400*time.Millisecond {
			t.Errorf("Load of 2.9 s after 0.5 s in the queue: got %d, %v after %v, want its value after 3.4 s", cache.ValueOf(v), err, time.Since(began))
		}
	})
}

// A load whose callers have all left while it waits for its place does not run.
func TestAbandonedLoadIsDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCache(t, cache.Options{})
		flood(t, c, 16, takes(500*time.Millisecond, 2))
		var calls atomic.Int64
		ctx, hangUp := context.WithCancel(t.Context())
		for range 3 {
			go func() {
				if _, err := c.Load(ctx, keyOf(0), found(2, &calls)); !errors.Is(err, context.Canceled) {
					t.Errorf("Load of a caller that gives up: got %v, want the context's error", err)
				}
			}()
		}
		synctest.Wait()
		hangUp()
		time.Sleep(time.Minute)
		if n := calls.Load(); n != 0 {
			t.Errorf("loads without a caller: got %d, want 0", n)
		}
		if v, err := c.Load(t.Context(), keyOf(0), found(2, &calls)); cache.ValueOf(v) != 2 || err != nil {
			t.Errorf("next caller: got %d, %v, want the result of a load", cache.ValueOf(v), err)
		}
	})
}

// If one caller of a load gives up, the others still get its result.
func TestLoadOutlivesItsFirstCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCache(t, cache.Options{})
		flood(t, c, 16, takes(500*time.Millisecond, 2))
		var calls atomic.Int64
		ctx, hangUp := context.WithCancel(t.Context())
		go func() { _, _ = c.Load(ctx, keyOf(0), found(2, &calls)) }()
		synctest.Wait()
		stays := make(chan error)
		go func() {
			_, err := c.Load(t.Context(), keyOf(0), found(2, &calls))
			stays <- err
		}()
		synctest.Wait()
		hangUp()
		if err := <-stays; err != nil || calls.Load() != 1 {
			t.Errorf("remaining caller: got %v after %d loads, want the value of one load", err, calls.Load())
		}
	})
}

// A caller whose context has ended does not start a load.
func TestNoLoadForCancelledCaller(t *testing.T) {
	c := newCache(t, cache.Options{})
	ctx, hangUp := context.WithCancel(t.Context())
	hangUp()
	var calls atomic.Int64
	for i := range 50_000 {
		if _, err := c.Load(ctx, keyOf(i), found(2, &calls)); !errors.Is(err, context.Canceled) {
			t.Fatalf("Load = %v, want the context's error", err)
		}
	}
	if n := calls.Load(); n != 0 {
		t.Errorf("loads: got %d, want 0", n)
	}
}
