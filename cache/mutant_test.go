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

// C-02: while a write is under way, a load may have read what was before it and
// another what came of it. Who comes after the second has answered must not
// join the first.
func TestFenceLoadBegunDuringWrite(t *testing.T) {
	for _, tt := range []struct {
		name  string
		write func(c *cache.Cache[int64], f func() error) error
	}{
		{"of the key", func(c *cache.Cache[int64], f func() error) error { return c.Write(f, keyOf(0)) }},
		{"of its group", func(c *cache.Cache[int64], f func() error) error { return c.WriteGroup(f, keyOf(1)) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCache(t, cache.Options{})
				stored, loads := good, 0
				resume := make(chan struct{})
				load := func(context.Context) (cache.Loaded[int64], error) {
					loads++
					v := stored
					<-resume
					return cache.Loaded[int64]{Value: v, Group: keyOf(1)}, nil
				}
				const late = 10
				early, answers := make(chan int64, 1), make(chan int64, late)
				ask := func(answers chan<- int64) {
					v, err := c.Load(t.Context(), keyOf(0), load)
					if err != nil {
						t.Errorf("Load during a write: %v", err)
					}
					answers <- v
				}
				_ = tt.write(c, func() error {
					go ask(early)
					synctest.Wait() // the early one has read
					stored = bad
					for range late {
						go ask(answers)
					}
					synctest.Wait() // the late ones wait, for whatever load
					resume <- struct{}{}
					synctest.Wait() // they are of one load again, and have read
					close(resume)
					synctest.Wait()
					return nil
				})
				<-early // may be answered either way
				for range late {
					if v := <-answers; v != bad {
						t.Errorf("a load that began after the write had taken effect got %d, want %d: it joined one from before", v, bad)
					}
				}
				if loads != 2 {
					t.Errorf("%d loads, want 2: the late ones share one", loads)
				}
			})
		})
	}
}

// C-08: what does not exist cannot push out what does, also where keys share a
// stripe, so that ristretto has to hold all of them but one.
func TestFloodOfAbsentKeysInOneStripe(t *testing.T) {
	const known = 500
	c := newCache(t, cache.Options{Size: 2_000, TTL: time.Hour, NegativeTTL: time.Hour})
	keys := make([]cache.Key, known)
	var calls atomic.Int64
	for i := range keys {
		keys[i] = keyOf(i)
		clear(keys[i][8:16])
	}
	// ristretto may drop a value, or take it in a while later.
	kept := func(key cache.Key) bool { _, err := c.Get(key, time.Now()); return err == nil }
	for i := range keys {
		for tries := 0; !kept(keys[i]); tries++ {
			if tries == 1_000 {
				t.Fatal("the cache keeps nothing")
			}
			_, _ = c.Load(t.Context(), keys[i], found(1, &calls))
			time.Sleep(100 * time.Microsecond)
		}
	}
	flood, missed := trials(20_000, 1_000_000), 0
	for i := range flood {
		_, _ = c.Load(t.Context(), keyOf(-1-i), missing)
		if !kept(keys[i%known]) {
			missed++
		}
	}
	if missed > flood/1_000 {
		t.Errorf("%d of %d Gets of known keys missed during a flood of absent ones, want at most one in 1,000", missed, flood)
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
		if v, err := c.Load(t.Context(), keyOf(0), found(7, &calls)); v != 7 || err != nil {
			t.Errorf("Load = %d, %v, want 7", v, err)
		}
	}
	load()
	if err := c.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if v, err := c.Get(keyOf(0), time.Now()); !errors.Is(err, cache.ErrMiss) {
			t.Errorf("Get after Close = %d, %v, want a miss", v, err)
		}
		load()
	}
	if n := calls.Load(); n != 3 {
		t.Errorf("%d loads, one before Close and two after it, want 3: nothing is kept after Close", n)
	}
}

// whichever clock goes on alone ends an entry, the monotonic one
// when the wall clock is set back, the wall clock when the machine was
// suspended. Clocks that both stand still do not.
func TestEitherClockEndsEntry(t *testing.T) {
	c := newCache(t, cache.Options{TTL: time.Minute})
	_, err := c.Load(t.Context(), keyOf(0), func(context.Context) (cache.Loaded[int64], error) {
		return cache.Loaded[int64]{Value: good}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name            string
		monotonic, wall time.Duration
		want            error
	}{
		{"both stand still", 0, 0, nil},
		{"wall clock set back", 30 * time.Second, -time.Hour, nil},
		{"wall clock set back and TTL over", 2 * time.Minute, -time.Hour, cache.ErrMiss},
		{"suspended", 0, 2 * time.Minute, cache.ErrMiss},
		{"wall clock set forward", 30 * time.Second, time.Hour, cache.ErrMiss},
	} {
		if _, err := c.Get(keyOf(0), later(t, tt.monotonic, tt.wall)); err != tt.want {
			t.Errorf("%s: Get = %v, want %v", tt.name, err, tt.want)
		}
	}
}

// later is the time after the two clocks have gone on by different spans, in
// whole seconds. Only a time.Time's own fields can say that.
func later(t *testing.T, monotonic, wall time.Duration) time.Time {
	t.Helper()
	now := time.Now()
	later := now.Add(monotonic)
	*(*uint64)(unsafe.Pointer(&later)) += uint64((wall-monotonic)/time.Second) << 30
	if later.Sub(now) != monotonic || later.Round(0).Sub(now.Round(0)) != wall {
		t.Fatalf("time.Time is not laid out as expected: %v after %v", later, now)
	}
	return later
}
