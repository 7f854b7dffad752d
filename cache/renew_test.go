package cache_test

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/keyhatch/keyhatch/cache"
	"github.com/keyhatch/keyhatch/internal/testkit"
)

// use reads the key as a Manager does.
func use(ctx context.Context, c *cache.Cache[int64], key int, load loadFunc) (int64, error) {
	v, err := c.Get(keyOf(key), c.At(time.Now()))
	if err == cache.ErrMiss {
		v, err = c.Load(ctx, keyOf(key), load)
	}
	return cache.ValueOf(v), err
}

// A key in use is reloaded in the background before its entry expires, so no caller ever
// waits for it, even if the source is slow.
func TestRenewal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCache(t, cache.Options{TTL: time.Minute})
		var calls atomic.Int64
		load := func(context.Context) (cache.Loaded[int64], error) {
			time.Sleep(2 * time.Second)
			return cache.Loaded[int64]{Value: cache.PointerTo(calls.Add(1))}, nil
		}
		if _, err := use(t.Context(), c, 0, load); err != nil {
			t.Fatal(err)
		}
		began, last := time.Now(), int64(0)
		for time.Since(began) < 10*time.Minute {
			at := time.Now()
			v, err := use(t.Context(), c, 0, load)
			if err != nil || time.Since(at) > 0 {
				t.Fatalf("Load took %v (%v), want 0", time.Since(at), err)
			}
			if v < last {
				t.Fatalf("got the value %d after %d", v, last)
			}
			last = v
			time.Sleep(100 * time.Millisecond)
		}
		// A load begins 43 to 48 s after the previous one returned, and takes 2 s.
		if n := calls.Load(); n < 12 || n > 16 {
			t.Errorf("loads in ten minutes: got %d, want one for each four fifths of a TTL", n)
		}
	})
}

// One load at a time renews a value. A renewal that fails is retried before the value
// expires, but only a few times, and the value is served meanwhile.
func TestRenewalThatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCache(t, cache.Options{TTL: time.Minute})
		_, _ = c.Load(t.Context(), keyOf(0), takes(0, 1))
		var l counted
		l.down.Store(true)
		for began := time.Now(); time.Since(began) < 53*time.Second; time.Sleep(10 * time.Millisecond) {
			if v, err := use(t.Context(), c, 0, l.load); v != 1 || err != nil {
				t.Fatalf("Load of a value before it expires, while its renewal fails: got %d, %v", v, err)
			}
		}
		if n := l.calls.Load(); n < 2 || n > 5 {
			t.Errorf("attempts to renew the value: got %d, want 2 to 5", n)
		}
	})
}

// The fence applies to renewals as to any load.
func TestFenceRenewalBegunBeforeWrite(t *testing.T) {
	for name, write := range map[string]func(c *cache.Cache[int64]){
		"of the key":   func(c *cache.Cache[int64]) { c.Invalidate(keyOf(0)) },
		"of its group": func(c *cache.Cache[int64]) { c.InvalidateGroup(keyOf(1)) },
		"elsewhere":    func(c *cache.Cache[int64]) { c.MarkStale() },
	} {
		synctest.Test(t, func(t *testing.T) {
			c := newCache(t, cache.Options{TTL: time.Minute, StaleIfError: time.Hour})
			stored, resume := good, make(chan struct{})
			load := func(context.Context) (cache.Loaded[int64], error) {
				v := stored
				<-resume
				return cache.Loaded[int64]{Value: cache.PointerTo(v), Tag: keyOf(1)}, nil
			}
			go func() { resume <- struct{}{} }()
			_, _ = c.Load(t.Context(), keyOf(0), load)
			time.Sleep(50 * time.Second)
			if v, err := use(t.Context(), c, 0, load); v != good || err != nil {
				t.Fatalf("a use that renews: %d, %v", v, err)
			}
			synctest.Wait() // the renewal has read
			stored = bad
			write(c)
			close(resume)
			synctest.Wait()
			if v, err := use(t.Context(), c, 0, load); v != bad || err != nil {
				t.Errorf("%s: Load after a write: got %d, %v, want %d instead of the result of an earlier renewal", name, v, err, bad)
			}
		})
	}
}

// If a renewal finds that a value is absent, ErrNotFound is served at once.
func TestRenewalFindsAbsentValue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCache(t, cache.Options{TTL: time.Minute})
		_, _ = c.Load(t.Context(), keyOf(0), takes(0, 1))
		time.Sleep(50 * time.Second)
		_, _ = use(t.Context(), c, 0, missing)
		synctest.Wait()
		if v, err := use(t.Context(), c, 0, missing); err != cache.ErrNotFound {
			t.Errorf("after a renewal that found no value: got %d, %v, want ErrNotFound", v, err)
		}
	})
}

// No caller waits for renewals, so they leave places for other loads.
func TestRenewalsLeavePlaces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 500
		c := newCache(t, cache.Options{TTL: time.Minute})
		know(t, c, 0, n, 47*time.Second)
		var under atomic.Int64
		hang := func(ctx context.Context) (cache.Loaded[int64], error) {
			under.Add(1)
			defer under.Add(-1)
			time.Sleep(time.Second)
			return cache.Loaded[int64]{Value: cache.PointerTo(int64(2))}, nil
		}
		for i := range n {
			if v, err := use(t.Context(), c, i, hang); v != 1 || err != nil {
				t.Fatalf("a use that renews: %d, %v", v, err)
			}
		}
		synctest.Wait()
		if under.Load() != 8 {
			t.Errorf("concurrent renewals: got %d, want 8", under.Load())
		}
		flood(t, c, 100, hang)
		if under.Load() != 24 {
			t.Errorf("concurrent loads during a flood: got %d, want 8 renewals and 16 loads of unknown keys", under.Load())
		}
		time.Sleep(time.Minute)
	})
}

// Renewals in the last tenth of a TTL leave the places of unknown keys free.
func TestLateRenewalsLeavePlaces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 500
		c := newCache(t, cache.Options{TTL: time.Minute})
		know(t, c, n, 1, 7*time.Second)
		know(t, c, 0, n, 53*time.Second)
		var under atomic.Int64
		slow := func(context.Context) (cache.Loaded[int64], error) {
			under.Add(1)
			defer under.Add(-1)
			time.Sleep(time.Second)
			return cache.Loaded[int64]{Value: cache.PointerTo(int64(2))}, nil
		}
		for i := range n {
			if v, err := use(t.Context(), c, i, slow); v != 1 || err != nil {
				t.Fatalf("a use that renews: %d, %v", v, err)
			}
		}
		synctest.Wait()
		if n := under.Load(); n > 48 {
			t.Errorf("concurrent late renewals: got %d, want at most 48", n)
		}
		began := time.Now()
		if v, err := c.Load(t.Context(), keyOf(1_000_000), takes(0, 2)); cache.ValueOf(v) != 2 || err != nil || time.Since(began) > 0 {
			t.Errorf("Load of an unknown key during late renewals: got %d, %v after %v, want its value without waiting", cache.ValueOf(v), err, time.Since(began))
		}
		// The entry of this key has expired. Its load is next for a place of a known key.
		if v, err := c.Load(t.Context(), keyOf(n), takes(0, 2)); cache.ValueOf(v) != 2 || err != nil || time.Since(began) > 2*time.Second {
			t.Errorf("Load of a known key during late renewals: got %d, %v after %v, want its value after about a second", cache.ValueOf(v), err, time.Since(began))
		}
		time.Sleep(time.Minute)
	})
}

// C-14: no use of a key waits for a slow source that can load all keys in use in time.
func TestRenewalsOfManyKeys(t *testing.T) {
	if testkit.Race {
		t.Skip("Go's race detector occasionally crashes when so many timers end in a synctest bubble")
	}
	synctest.Test(t, func(t *testing.T) {
		const n = 2_000
		c := newCache(t, cache.Options{TTL: time.Minute})
		load := takes(300*time.Millisecond, 1)
		began := time.Now()
		var uses, waited atomic.Int64
		var all sync.WaitGroup
		for i := range n {
			all.Go(func() {
				for time.Since(began) < 4*time.Minute {
					at := time.Now()
					_, err := use(t.Context(), c, i, load)
					if at.Sub(began) > 2*time.Minute { // all keys are known by then
						if uses.Add(1); time.Since(at) > 0 || err != nil {
							waited.Add(1)
						}
					}
					time.Sleep(rand.N(2 * time.Second))
				}
			})
		}
		all.Wait()
		if waited.Load() > uses.Load()/1000 {
			t.Errorf("%d of %d uses waited for the source, want almost none", waited.Load(), uses.Load())
		}
	})
}

// A value that is already old when it is loaded, for example from the shared cache, is not
// renewed repeatedly.
func TestOldValueIsNotRenewedRepeatedly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCache(t, cache.Options{TTL: time.Minute})
		var calls atomic.Int64
		old := func(context.Context) (cache.Loaded[int64], error) {
			calls.Add(1)
			return cache.Loaded[int64]{Value: cache.PointerTo(int64(1)), Age: 50 * time.Second}.FromShared(), nil
		}
		for range 1_000 {
			_, _ = use(t.Context(), c, 0, old)
			time.Sleep(time.Millisecond)
		}
		if n := calls.Load(); n > 2 {
			t.Errorf("loads of an old value in a second: got %d, want one or two", n)
		}
	})
}

// while the source is slow, a caller waits at most 50 ms for a value that
// StaleIfError allows, even if the load waits for its place. Most callers do not wait at
// all. All keys get their new value in the end.
func TestSlowLoadServesStale(t *testing.T) {
	if testkit.Race {
		t.Skip("Go's race detector occasionally crashes when so many timers end in a synctest bubble")
	}
	synctest.Test(t, func(t *testing.T) {
		const n = 200
		c := newCache(t, cache.Options{TTL: time.Minute, StaleIfError: 10 * time.Minute})
		know(t, c, 0, n, time.Minute)
		var uses sync.WaitGroup
		var waited, renewed atomic.Int64
		once := func() {
			for key := range n {
				uses.Go(func() {
					began := time.Now()
					v, err := use(t.Context(), c, key, takes(time.Second, 2))
					if took := time.Since(began); err != nil || took > 50*time.Millisecond {
						t.Errorf("Load of a known key during a slow load: got %d, %v after %v, want its value within 50 ms", v, err, took)
					} else if took > 0 {
						waited.Add(1)
					}
					renewed.Add(v - 1)
				})
			}
		}
		for range 100 {
			once()
			time.Sleep(100 * time.Millisecond)
		}
		uses.Wait()
		if share := float64(waited.Load()) / 100 / n; share > 0.2 {
			t.Errorf("%.1f %% of the uses waited, want only those in the first 50 ms of each load", 100*share)
		}
		renewed.Store(0)
		once()
		uses.Wait()
		if renewed.Load() != n {
			t.Errorf("keys with their new value: got %d of %d, want all", renewed.Load(), n)
		}
	})
}

// A caller waits for a slow load if the value may have changed elsewhere, or if StaleIfError is
// not set.
func TestSlowLoadIsWaitedFor(t *testing.T) {
	for _, tt := range []struct {
		name   string
		stale  time.Duration
		happen func(c *cache.Cache[int64])
	}{
		{"no StaleIfError", 0, func(*cache.Cache[int64]) {}},
		{"marked stale", time.Hour, func(c *cache.Cache[int64]) { c.MarkStale() }},
		{"written", time.Hour, func(c *cache.Cache[int64]) { c.Invalidate(keyOf(0)) }},
		{"bus down", time.Hour, func(c *cache.Cache[int64]) { c.Disconnect(10 * time.Second) }},
		{"too old", time.Minute, func(*cache.Cache[int64]) {}},
	} {
		synctest.Test(t, func(t *testing.T) {
			c := newCache(t, cache.Options{TTL: time.Minute, StaleIfError: tt.stale})
			know(t, c, 0, 1, time.Minute)
			tt.happen(c)
			if v, err := use(t.Context(), c, 0, takes(time.Second, 2)); v != 2 || err != nil {
				t.Errorf("%s: got %d, %v, want the new value", tt.name, v, err)
			}
		})
	}
}
