package cache_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"github.com/keyhatch/keyhatch/cache"
)

func TestStaleIfError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCache(t, cache.Options{TTL: time.Minute, StaleIfError: 10 * time.Minute})
		var calls atomic.Int64
		failure := errors.New("connection refused")
		fail := func(context.Context) (cache.Loaded[int64], error) { return cache.Loaded[int64]{}, failure }
		for i := range 2 {
			_, _ = c.Load(t.Context(), keyOf(i), found(7, &calls))
		}
		_, _ = c.Load(t.Context(), keyOf(2), missing)
		_ = c.Write(func() error { return nil }, keyOf(1))
		time.Sleep(9 * time.Minute)
		for _, tt := range []struct {
			name string
			key  int
			want error
		}{
			{"within the window", 0, nil},
			{"written since", 1, failure},
			{"absent", 2, failure},
			{"never seen", 3, failure},
		} {
			if _, err := c.Load(t.Context(), keyOf(tt.key), fail); !errors.Is(err, tt.want) {
				t.Errorf("%s: Load = %v, want %v", tt.name, err, tt.want)
			}
		}
		time.Sleep(time.Minute)
		if _, err := c.Load(t.Context(), keyOf(0), fail); !errors.Is(err, failure) {
			t.Errorf("past the window: Load = %v, want the failure", err)
		}
	})
}

// A value that has ended at Until is not served, even in an outage.
func TestNothingStaleAfterUntil(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCache(t, cache.Options{TTL: time.Minute, StaleIfError: 10 * time.Minute})
		until := time.Now().Add(2 * time.Minute)
		load := func(context.Context) (cache.Loaded[int64], error) {
			return cache.Loaded[int64]{Value: cache.PointerTo(int64(1)), Until: until}, nil
		}
		if _, err := c.Load(t.Context(), keyOf(0), load); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2*time.Minute - time.Nanosecond)
		if v, err := c.Load(t.Context(), keyOf(0), down); cache.ValueOf(v) != 1 || err != nil {
			t.Errorf("1 ns before Until: Load = %d, %v, want the previous value", cache.ValueOf(v), err)
		}
		time.Sleep(time.Nanosecond)
		if v, err := c.Load(t.Context(), keyOf(0), down); !errors.Is(err, errDown) {
			t.Errorf("at Until: Load = %d, %v, want the failure", v, err)
		}
	})
}

// Invariant 3: no value is served that was loaded longer ago than TTL and StaleIfError,
// whether loads fail or are slow.
func TestStaleBound(t *testing.T) {
	const ttl = 11 * time.Second
	pending := func(ctx context.Context) (cache.Loaded[int64], error) {
		<-ctx.Done()
		return cache.Loaded[int64]{}, ctx.Err()
	}
	slow := func(context.Context) (cache.Loaded[int64], error) {
		time.Sleep(2 * time.Second)
		return cache.Loaded[int64]{Value: cache.PointerTo(int64(8))}, nil
	}
	for _, tt := range []struct {
		name        string
		load        func(context.Context) (cache.Loaded[int64], error)
		stale       time.Duration
		idle        time.Duration // time before the first use
		from, bound time.Duration // the value is last served between these times
	}{
		{"fails", down, 20 * time.Second, 0, 19 * time.Second, 20 * time.Second},
		{"never returns", pending, 20 * time.Second, 0, 19 * time.Second, 20 * time.Second},
		{"is slow", slow, 20 * time.Second, 12 * time.Second, 13 * time.Second, 14*time.Second + 1}, // until the load has returned
		{"is slow and ends too late", slow, 13 * time.Second, 12 * time.Second, 12 * time.Second, 13 * time.Second},
		{"fails, StaleIfError below TTL", down, 5 * time.Second, 0, 9 * time.Second, ttl},
		{"never returns, no StaleIfError", pending, 0, 0, 9 * time.Second, ttl},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCache(t, cache.Options{Size: 100, TTL: ttl, StaleIfError: tt.stale})
				if _, err := c.Load(t.Context(), keyOf(0), found(7, new(atomic.Int64))); err != nil {
					t.Fatal(err)
				}
				began, last := time.Now(), time.Duration(0)
				time.Sleep(tt.idle)
				for at := tt.idle; at < 40*time.Second; at = time.Since(began) {
					if v, err := c.Load(t.Context(), keyOf(0), tt.load); cache.ValueOf(v) == 7 && err == nil {
						last = at
					}
					time.Sleep(100 * time.Millisecond)
				}
				if last < tt.from || last >= tt.bound {
					t.Errorf("last use of a value: got %v after its load, want %v to %v", last, tt.from, tt.bound)
				}
			})
		})
	}
}

var errDown = errors.New("connection refused")

func down(context.Context) (cache.Loaded[int64], error) { return cache.Loaded[int64]{}, errDown }

// After a load has found that a value is absent, the previous value is not served in an
// outage, however often the key was read, and even if the absent entry was evicted.
func TestOutageDoesNotRestoreAbsentValue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCache(t, cache.Options{TTL: time.Minute, NegativeTTL: 5 * time.Second, StaleIfError: time.Hour})
		var calls atomic.Int64
		for lookups := range 3 {
			_, _ = c.Load(t.Context(), keyOf(lookups), found(7, &calls))
			time.Sleep(time.Minute)
			for range lookups + 1 {
				if _, err := c.Load(t.Context(), keyOf(lookups), missing); err != cache.ErrNotFound {
					t.Fatalf("Load of an absent value: got %v, want ErrNotFound", err)
				}
				time.Sleep(6 * time.Second)
			}
			c.EvictAbsent(keyOf(lookups))
			if v, err := c.Load(t.Context(), keyOf(lookups), down); !errors.Is(err, errDown) {
				t.Errorf("outage after %d look-ups of an absent value: Load = %d, %v, want the failure", lookups+1, v, err)
			}
		}
	})
}

// A caller whose context ends says nothing about the store, so it gets no value that is
// past its TTL, whether its context ends before the load or during it.
func TestNoStaleValueForImpatientCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCache(t, cache.Options{TTL: time.Minute, StaleIfError: time.Hour})
		var calls atomic.Int64
		_, _ = c.Load(t.Context(), keyOf(0), found(7, &calls))
		time.Sleep(2 * time.Minute)
		slow := func(context.Context) (cache.Loaded[int64], error) {
			time.Sleep(5 * time.Millisecond)
			return cache.Loaded[int64]{Value: cache.PointerTo(int64(8))}, nil
		}
		for _, patience := range []time.Duration{0, time.Millisecond} {
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			if v, err := c.Load(ctx, keyOf(0), slow); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("Load with a deadline in %v: got %d, %v, want DeadlineExceeded", patience, v, err)
			}
		}
		time.Sleep(time.Second)
		if v, err := c.Load(t.Context(), keyOf(0), slow); cache.ValueOf(v) != 8 || err != nil {
			t.Errorf("Load = %d, %v, want 8", cache.ValueOf(v), err)
		}
	})
}

// The result of a load replaces the previous value for good, even if a write of its group
// prevents the fill.
func TestOutageDoesNotRestoreReplacedValue(t *testing.T) {
	for name, tt := range map[string]struct {
		loaded cache.Loaded[int64]
		want   error
	}{
		"absent":  {cache.Loaded[int64]{Absent: true}, cache.ErrNotFound},
		"another": {cache.Loaded[int64]{Value: cache.PointerTo(int64(8)), Tag: keyOf(1)}, errDown},
	} {
		synctest.Test(t, func(t *testing.T) {
			c := newCache(t, cache.Options{TTL: time.Minute, StaleIfError: time.Hour})
			var calls atomic.Int64
			_, _ = c.Load(t.Context(), keyOf(0), found(7, &calls))
			time.Sleep(2 * time.Minute)
			_ = c.WriteGroup(func() error {
				_, _ = c.Load(t.Context(), keyOf(0), func(context.Context) (cache.Loaded[int64], error) { return tt.loaded, nil })
				return nil
			}, keyOf(1))
			if v, err := c.Load(t.Context(), keyOf(0), down); !errors.Is(err, tt.want) {
				t.Errorf("%s: Load in an outage = %d, %v, want %v", name, v, err, tt.want)
			}
		})
	}
}

// An error of a load function never counts as an error of this package.
func TestLoadErrorsAreNotSentinels(t *testing.T) {
	c := newCache(t, cache.Options{})
	for _, failure := range []error{cache.ErrNotFound, cache.ErrMiss, hostileError{}} {
		for range 2 {
			fail := func(context.Context) (cache.Loaded[int64], error) { return cache.Loaded[int64]{}, failure }
			if _, err := c.Load(t.Context(), keyOf(0), fail); err == nil || err == cache.ErrNotFound {
				t.Errorf("Load that failed with %v: got %v, want another error", failure, err)
			}
		}
	}
	var calls atomic.Int64
	if v, err := c.Load(t.Context(), keyOf(0), found(7, &calls)); cache.ValueOf(v) != 7 || err != nil {
		t.Errorf("Load after failures: got %d, %v, want 7, since no failure is kept", cache.ValueOf(v), err)
	}
}

type hostileError struct{}

func (hostileError) Error() string   { return "hostile" }
func (hostileError) Is(error) bool   { panic("hostile") }
func (hostileError) Unwrap() []error { panic("hostile") }

func TestOptionsAreBounded(t *testing.T) {
	for _, opts := range []cache.Options{
		{TTL: cache.MaxDuration + 1}, {NegativeTTL: -1}, {StaleIfError: 1<<63 - 1}, {LoadTimeout: cache.MaxDuration + 1}, {Size: -100},
	} {
		if c, err := cache.New[int64](opts); err == nil {
			c.Close(t.Context())
			t.Errorf("New(%+v) succeeded, want an error", opts)
		}
	}
}

// each clock by itself ends an entry: the monotonic clock if the wall clock is
// set back, and the wall clock if the machine was suspended.
func TestEitherClockEndsEntry(t *testing.T) {
	c := newCache(t, cache.Options{TTL: time.Minute})
	_, err := c.Load(t.Context(), keyOf(0), func(context.Context) (cache.Loaded[int64], error) {
		return cache.Loaded[int64]{Value: cache.PointerTo(good)}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name            string
		monotonic, wall time.Duration
		served          bool
	}{
		{"both stand still", 0, 0, true},
		{"wall clock set back", 30 * time.Second, -time.Hour, true},
		{"wall clock set back after the TTL", 2 * time.Minute, -time.Hour, false},
		{"suspended", 0, 2 * time.Minute, false},
		{"wall clock set forward", 30 * time.Second, time.Hour, false},
	} {
		if served := c.Serves(keyOf(0), later(t, tt.monotonic, tt.wall)); served != tt.served {
			t.Errorf("%s: served: got %t, want %t", tt.name, served, tt.served)
		}
	}
}

// later returns the time after the two clocks have advanced by different durations, in
// whole seconds. That requires access to the fields of time.Time.
func later(t *testing.T, monotonic, wall time.Duration) time.Time {
	t.Helper()
	now := time.Now()
	later := now.Add(monotonic)
	*(*uint64)(unsafe.Pointer(&later)) += uint64((wall-monotonic)/time.Second) << 30
	if later.Sub(now) != monotonic || later.Round(0).Sub(now.Round(0)) != wall {
		t.Fatalf("time.Time does not have the expected layout: got %v, %v", later, now)
	}
	return later
}
