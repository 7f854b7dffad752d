package cache_test

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/keyhatch/keyhatch/cache"
	"github.com/keyhatch/keyhatch/internal/testkit"
)

// found returns a load function with a fixed result that counts its calls.
func found(v int64, calls *atomic.Int64) func(context.Context) (cache.Loaded[int64], error) {
	return func(context.Context) (cache.Loaded[int64], error) {
		calls.Add(1)
		return cache.Loaded[int64]{Value: cache.PointerTo(v)}, nil
	}
}

func missing(context.Context) (cache.Loaded[int64], error) {
	return cache.Loaded[int64]{Absent: true}, nil
}

func TestGet(t *testing.T) {
	c := newCache(t, cache.Options{})
	var calls atomic.Int64
	if _, err := c.Get(keyOf(0), c.At(time.Now())); err != cache.ErrMiss {
		t.Errorf("Get of an unknown key: got %v, want ErrMiss", err)
	}
	if v, err := c.Load(t.Context(), keyOf(0), found(7, &calls)); cache.ValueOf(v) != 7 || err != nil {
		t.Errorf("Load = %d, %v, want 7", cache.ValueOf(v), err)
	}
	if v, err := c.Get(keyOf(0), c.At(time.Now())); cache.ValueOf(v) != 7 || err != nil {
		t.Errorf("Get after Load = %d, %v, want 7", cache.ValueOf(v), err)
	}
	if _, err := c.Load(t.Context(), keyOf(1), missing); err != cache.ErrNotFound {
		t.Errorf("Load of an absent value: got %v, want ErrNotFound", err)
	}
	if _, err := c.Get(keyOf(1), c.At(time.Now())); err != cache.ErrNotFound {
		t.Errorf("Get of an absent value: got %v, want ErrNotFound", err)
	}
}

// Keys that differ in any single byte are different keys, although ristretto may use the
// same eight bytes for them.
func TestKeysAreComparedWhole(t *testing.T) {
	c := newCache(t, cache.Options{})
	var calls atomic.Int64
	base := keyOf(0)
	if _, err := c.Load(t.Context(), base, found(1, &calls)); err != nil {
		t.Fatal(err)
	}
	for i := range base {
		other := base
		other[i] ^= 1
		if v, err := c.Get(other, c.At(time.Now())); err != cache.ErrMiss {
			t.Errorf("byte %d of the key differs: Get = %d, %v, want ErrMiss", i, v, err)
		}
	}
}

func TestTTL(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCache(t, cache.Options{TTL: time.Minute, NegativeTTL: 5 * time.Second})
		var calls atomic.Int64
		for i := range 100 {
			_, _ = c.Load(t.Context(), keyOf(i), found(1, &calls))
			_, _ = c.Load(t.Context(), keyOf(-1-i), missing)
		}
		count := func(from, step int) (n int) {
			for i := range 100 {
				if c.Serves(keyOf(from+step*i), time.Now()) {
					n++
				}
			}
			return n
		}
		for _, tt := range []struct {
			after             time.Duration
			present, negative int // minimum numbers; -1: some but not all
		}{
			{4400 * time.Millisecond, 100, 100},
			{350 * time.Millisecond, 100, -1},
			{250 * time.Millisecond, 100, 0},
			{48 * time.Second, 100, 0},
			{4 * time.Second, -1, 0},
			{3 * time.Second, 0, 0},
		} {
			time.Sleep(tt.after)
			for _, got := range []struct {
				what    string
				n, want int
			}{{"present", count(0, 1), tt.present}, {"absent", count(-1, -1), tt.negative}} {
				if got.want >= 0 && got.n != got.want || got.want < 0 && (got.n == 0 || got.n == 100) {
					t.Errorf("%s entries still served after another %v: got %d, want %d, since a TTL ends up to a tenth early and never late", got.what, tt.after, got.n, got.want)
				}
			}
		}
	})
}

func TestUntilEndsAnEntryEarly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCache(t, cache.Options{})
		until := time.Now().Add(time.Second)
		_, _ = c.Load(t.Context(), keyOf(0), func(context.Context) (cache.Loaded[int64], error) {
			return cache.Loaded[int64]{Value: cache.PointerTo(int64(1)), Until: until}, nil
		})
		time.Sleep(time.Second - time.Nanosecond)
		if _, err := c.Get(keyOf(0), c.At(time.Now())); err != nil {
			t.Errorf("Get 1 ns before Until: got %v, want no error", err)
		}
		time.Sleep(time.Nanosecond)
		if _, err := c.Get(keyOf(0), c.At(time.Now())); err != cache.ErrMiss {
			t.Errorf("Get at Until: got %v, want ErrMiss", err)
		}
	})
}

// The TTL of a value counts from the beginning of its load, since the load may have read
// it then.
func TestSlowLoadCountsAgainstTTL(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCache(t, cache.Options{TTL: 4 * time.Second})
		_, err := c.Load(t.Context(), keyOf(0), func(context.Context) (cache.Loaded[int64], error) {
			time.Sleep(2 * time.Second)
			return cache.Loaded[int64]{Value: cache.PointerTo(int64(1))}, nil
		})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Second)
		if _, err := c.Get(keyOf(0), c.At(time.Now())); err != cache.ErrMiss {
			t.Errorf("Get 4 s after the load began: got %v, want ErrMiss", err)
		}
	})
}

// the wall clock ends an entry after a suspension, during which the monotonic
// clock stood still.
func TestWallClockEndsEntry(t *testing.T) {
	c := newCache(t, cache.Options{})
	var calls atomic.Int64
	_, _ = c.Load(t.Context(), keyOf(0), found(1, &calls))
	if _, err := c.Get(keyOf(0), c.At(time.Now().Round(0).Add(2*time.Minute))); err != cache.ErrMiss {
		t.Errorf("Get after the wall clock has advanced by two minutes: got %v, want ErrMiss", err)
	}
}

// C-07
func TestSingleFlight(t *testing.T) {
	c := newCache(t, cache.Options{LoadTimeout: time.Minute})
	const callers = 10_000
	var calls, failed atomic.Int64
	resume := make(chan struct{})
	load := func(context.Context) (cache.Loaded[int64], error) {
		calls.Add(1)
		<-resume
		return cache.Loaded[int64]{Value: cache.PointerTo(int64(7))}, nil
	}
	leader, cancel := context.WithCancel(t.Context())
	gone := make(chan error)
	go func() {
		_, err := c.Load(leader, keyOf(0), load)
		gone <- err
	}()
	for calls.Load() == 0 {
		runtime.Gosched()
	}
	var all sync.WaitGroup
	for range callers {
		all.Go(func() {
			v, err := c.Get(keyOf(0), c.At(time.Now()))
			if err == cache.ErrMiss {
				v, err = c.Load(t.Context(), keyOf(0), load)
			}
			if cache.ValueOf(v) != 7 || err != nil {
				failed.Add(1)
			}
		})
	}
	cancel()
	if err := <-gone; !errors.Is(err, context.Canceled) {
		t.Errorf("caller that was cancelled: got %v, want its context's error", err)
	}
	time.Sleep(10 * time.Millisecond)
	close(resume)
	all.Wait()
	if calls.Load() != 1 || failed.Load() != 0 {
		t.Errorf("%d callers: got %d loads, want 1; got %d failures after the first caller was cancelled, want 0", callers, calls.Load(), failed.Load())
	}
}

func TestBrokenLoads(t *testing.T) {
	failure := errors.New("connection refused")
	for _, tt := range []struct {
		name string
		load func(context.Context) (cache.Loaded[int64], error)
		want string
	}{
		{"error", func(context.Context) (cache.Loaded[int64], error) {
			return cache.Loaded[int64]{Value: cache.PointerTo(int64(1))}, failure
		}, "connection refused"},
		{"nothing", func(context.Context) (cache.Loaded[int64], error) { return cache.Loaded[int64]{}, nil }, "neither a value nor Absent"},
		{"panic", func(context.Context) (cache.Loaded[int64], error) { panic("boom") }, "panicked: boom"},
		{"exit", func(context.Context) (cache.Loaded[int64], error) { runtime.Goexit(); panic("unreachable") }, "ended its goroutine"},
		{"hang", func(ctx context.Context) (cache.Loaded[int64], error) {
			<-ctx.Done()
			return cache.Loaded[int64]{}, ctx.Err()
		}, "deadline exceeded"},
		{"hang that ignores its context", func(context.Context) (cache.Loaded[int64], error) {
			time.Sleep(time.Hour)
			return cache.Loaded[int64]{Value: cache.PointerTo(int64(1))}, nil
		}, "deadline exceeded"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCache(t, cache.Options{})
				began := time.Now()
				_, err := c.Load(t.Context(), keyOf(0), tt.load)
				if err == nil || !strings.Contains(err.Error(), tt.want) {
					t.Errorf("Load: got %v, want %q", err, tt.want)
				}
				if took := time.Since(began); took > 3*time.Second {
					t.Errorf("Load took %v, want at most LoadTimeout", took)
				}
				if _, err := c.Get(keyOf(0), c.At(time.Now())); err != cache.ErrMiss {
					t.Errorf("Get after a broken load: got %v, want ErrMiss, since only results are kept", err)
				}
				time.Sleep(2 * time.Hour)
			})
		})
	}
}

// C-08: absent keys cannot evict known keys.
func TestFloodOfAbsentKeys(t *testing.T) {
	c := newCache(t, cache.Options{Size: 10_000, TTL: time.Hour})
	var calls atomic.Int64
	for i := range 1_000 {
		_, _ = c.Load(t.Context(), keyOf(i), found(1, &calls))
	}
	flood := testkit.Trials(100_000, 2_000_000)
	hits, gets := 0, 0
	for i := range flood {
		_, _ = c.Load(t.Context(), keyOf(-1-i), missing)
		if _, err := c.Get(keyOf(i%1_000), c.At(time.Now())); err == nil {
			hits++
		}
		gets++
	}
	if rate := float64(hits) / float64(gets); rate < 0.999 {
		t.Errorf("hit rate of 1,000 keys during a flood of %d absent ones: %.4f, want at least 0.999", flood, rate)
	}
}

// ristretto's Close panics during any other call.
func TestCloseDuringCalls(t *testing.T) {
	before := runtime.NumGoroutine()
	for range 20 {
		c, err := cache.New[int64](cache.Options{Size: 100})
		if err != nil {
			t.Fatal(err)
		}
		var stop atomic.Bool
		var calls atomic.Int64
		var all sync.WaitGroup
		for g := range 8 {
			all.Go(func() {
				for i := g; !stop.Load(); i += 8 {
					if _, err := c.Get(keyOf(i%500), c.At(time.Now())); err == cache.ErrMiss {
						if v, err := c.Load(t.Context(), keyOf(i%500), found(1, &calls)); cache.ValueOf(v) != 1 || err != nil {
							t.Errorf("Load during or after Close: got %d, %v, want the value", cache.ValueOf(v), err)
						}
					}
					_ = c.Write(func() error { return nil }, keyOf(i%500))
				}
			})
		}
		time.Sleep(2 * time.Millisecond)
		var closers sync.WaitGroup
		for range 3 {
			closers.Go(func() {
				if err := c.Close(t.Context()); err != nil {
					t.Errorf("Close: %v", err)
				}
			})
		}
		closers.Wait()
		time.Sleep(time.Millisecond)
		stop.Store(true)
		all.Wait()
		if _, err := c.Get(keyOf(0), c.At(time.Now())); err != cache.ErrMiss {
			t.Errorf("Get after Close: got %v, want ErrMiss", err)
		}
	}
	for range 100 {
		if runtime.NumGoroutine() <= before {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("got %d goroutines after Close, %d before New", runtime.NumGoroutine(), before)
}

func TestCloseWaitsForLoads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCache(t, cache.Options{})
		ended := false
		go func() {
			_, _ = c.Load(t.Context(), keyOf(0), func(context.Context) (cache.Loaded[int64], error) {
				time.Sleep(time.Second)
				ended = true
				return cache.Loaded[int64]{Value: new(int64)}, nil
			})
		}()
		synctest.Wait()
		short, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if err := c.Close(short); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Close with a short deadline during a load: got %v, want DeadlineExceeded", err)
		}
		if err := c.Close(t.Context()); err != nil || !ended {
			t.Errorf("Close: got %v and load ended = %t, want nil and true", err, ended)
		}
	})
}

// After Close, concurrent loads are still merged. A caller that has joined a load waits for a
// second load only if a write is in progress.
func TestLoadsAreSharedAfterClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCache(t, cache.Options{})
		if err := c.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		loads, callers := 0, sync.WaitGroup{}
		load := func() {
			_, _ = c.Load(t.Context(), keyOf(0), func(context.Context) (cache.Loaded[int64], error) {
				loads++
				time.Sleep(time.Second)
				return cache.Loaded[int64]{Value: new(int64)}, nil
			})
		}
		two := func() {
			loads = 0
			callers.Go(load)
			synctest.Wait()
			callers.Go(load)
			callers.Wait()
		}
		if two(); loads != 1 {
			t.Errorf("two callers: got %d loads, want 1", loads)
		}
		if _ = c.Write(func() error { two(); return nil }, keyOf(0)); loads != 2 {
			t.Errorf("two callers during a write: got %d loads, want 2", loads)
		}
	})
}

// The bounds hold for any keys, even if all have the same epoch.
func TestSizeIsABound(t *testing.T) {
	const size = 500
	c := newCache(t, cache.Options{Size: size, TTL: time.Hour, NegativeTTL: time.Hour})
	var calls atomic.Int64
	inOneStripe := func(i int) cache.Key {
		key := keyOf(i)
		clear(key[8:16])
		return key
	}
	const n = 4 * size
	for i := range n {
		_, _ = c.Load(t.Context(), inOneStripe(i), found(1, &calls))
		_, _ = c.Load(t.Context(), inOneStripe(-1-i), missing)
	}
	for _, tt := range []struct {
		name     string
		key      func(i int) cache.Key
		min, max int
	}{
		{"values", inOneStripe, 2, size + 1}, // ristretto drops some of a burst
		{"absent keys", func(i int) cache.Key { return inOneStripe(-1 - i) }, 2, size/10 + 1},
	} {
		count := func() (kept int) {
			for i := range n {
				if _, err := c.Get(tt.key(i), c.At(time.Now())); err != cache.ErrMiss {
					kept++
				}
			}
			return kept
		}
		kept := count()
		for tries := 0; kept > tt.max && tries < 500; tries++ { // ristretto evicts entries in the background
			time.Sleep(10 * time.Millisecond)
			kept = count()
		}
		if kept < tt.min || kept > tt.max {
			t.Errorf("got %d of %d %s kept, want %d to %d", kept, n, tt.name, tt.min, tt.max)
		}
	}
}

// C-08: absent keys cannot evict known keys, even if all keys share an epoch.
func TestFloodOfAbsentKeysInOneStripe(t *testing.T) {
	const known = 1_500
	c := newCache(t, cache.Options{Size: 2_000, TTL: time.Hour, NegativeTTL: time.Hour})
	keys := make([]cache.Key, known)
	var calls atomic.Int64
	for i := range keys {
		keys[i] = keyOf(i)
		clear(keys[i][8:16])
	}
	// ristretto may drop a value, or keep it only after a while.
	kept := func(key cache.Key) bool { _, err := c.Get(key, c.At(time.Now())); return err == nil }
	for i := range keys {
		for tries := 0; !kept(keys[i]); tries++ {
			if tries == 1_000 {
				t.Fatal("the cache kept no value")
			}
			_, _ = c.Load(t.Context(), keys[i], found(1, &calls))
			time.Sleep(100 * time.Microsecond)
		}
	}
	// ristretto prefers entries that are read often, so read each absent key more often
	// than the known ones.
	for i := range testkit.Trials(10_000, 200_000) {
		for range 20 {
			kept(keyOf(-1 - i))
		}
		_, _ = c.Load(t.Context(), keyOf(-1-i), missing)
	}
	missed := 0
	for _, key := range keys {
		if !kept(key) {
			missed++
		}
	}
	if missed > known/1_000 {
		t.Errorf("got %d of %d known keys evicted by a flood of absent ones, want at most one in 1,000", missed, known)
	}
}

// A Get after Close misses, and a Load after Close keeps nothing.
func TestNothingIsKeptAfterClose(t *testing.T) {
	c, err := cache.New[int64](cache.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var calls atomic.Int64
	load := func() {
		if v, err := c.Load(t.Context(), keyOf(0), found(7, &calls)); cache.ValueOf(v) != 7 || err != nil {
			t.Errorf("Load = %d, %v, want 7", cache.ValueOf(v), err)
		}
	}
	load()
	if err := c.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if v, err := c.Get(keyOf(0), c.At(time.Now())); !errors.Is(err, cache.ErrMiss) {
			t.Errorf("Get after Close = %d, %v, want ErrMiss", v, err)
		}
		load()
	}
	if n := calls.Load(); n != 3 {
		t.Errorf("loads, one before Close and two after it: got %d, want 3, since no value is kept after Close", n)
	}
}
