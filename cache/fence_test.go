package cache_test

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"math/rand/v2"
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

func newCache(t testing.TB, opts cache.Options) *cache.Cache[int64] {
	t.Helper()
	c, err := cache.New[int64](opts)
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	t.Cleanup(func() {
		if err := c.Close(context.Background()); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return c
}

func keyOf(i int) cache.Key {
	return sha256.Sum256(binary.LittleEndian.AppendUint64(nil, uint64(i)))
}

// pause lets other goroutines run for a random time.
func pause() {
	switch n := rand.IntN(8); {
	case n < 4:
		runtime.Gosched()
	case n < 7:
		time.Sleep(time.Duration(rand.IntN(100)) * time.Microsecond)
	}
}

const (
	good = int64(iota + 1)
	bad
)

// A ledger is the store of the cached values. It holds the current value of each key.
type ledger struct {
	cache  *cache.Cache[int64]
	values []atomic.Int64 // 0: there is none
	group  func(i int) cache.Key
}

func (l *ledger) load(i int) func(context.Context) (cache.Loaded[int64], error) {
	return func(context.Context) (cache.Loaded[int64], error) {
		pause()
		v := l.values[i].Load()
		pause()
		if v == 0 {
			return cache.Loaded[int64]{Absent: true}, nil
		}
		return cache.Loaded[int64]{Value: cache.PointerTo(v), Tag: l.group(i)}, nil
	}
}

// get returns 0 if the value is not found.
func (l *ledger) get(ctx context.Context, i int) (int64, error) {
	v, err := l.cache.Get(keyOf(i), l.cache.At(time.Now()))
	if err == cache.ErrMiss {
		v, err = l.cache.Load(ctx, keyOf(i), l.load(i))
	}
	if errors.Is(err, cache.ErrNotFound) {
		return 0, nil
	}
	return cache.ValueOf(v), err
}

// race writes each key while 64 readers read it, and counts the reads that began after the
// write had returned and got the old value. It checks all keys again at the end, since a
// stale entry would still be served then.
func (l *ledger) race(t *testing.T, before, after int64, write func(i int)) {
	t.Helper()
	var stale atomic.Int64
	check := func(i int, written *atomic.Bool) bool {
		done := written.Load()
		v, err := l.get(t.Context(), i)
		if err != nil {
			t.Errorf("key %d: %v", i, err)
		}
		if done && v != after {
			stale.Add(1)
		}
		return done
	}
	for i := range l.values {
		l.values[i].Store(before)
		var written atomic.Bool
		var readers sync.WaitGroup
		for range 64 {
			readers.Go(func() {
				for !check(i, &written) {
					pause()
				}
			})
		}
		pause()
		write(i)
		written.Store(true)
		readers.Wait()
	}
	var written atomic.Bool
	written.Store(true)
	for i := range l.values {
		check(i, &written)
	}
	if n := stale.Load(); n > 0 {
		t.Errorf("reads that began after a write had returned and got the old value: got %d in %d trials, want 0", n, len(l.values))
	}
}

func newLedger(t *testing.T, n int) *ledger {
	return &ledger{
		cache:  newCache(t, cache.Options{TTL: time.Hour, NegativeTTL: time.Hour}),
		values: make([]atomic.Int64, n),
		group:  func(int) cache.Key { return cache.Key{} },
	}
}

// C-01 at the cache: after Write has returned, the old value is never served.
func TestFenceNothingStaleAfterWrite(t *testing.T) {
	l := newLedger(t, testkit.Trials(1_000, 50_000))
	l.race(t, good, bad, func(i int) {
		err := l.cache.Write(func() error {
			pause()
			l.values[i].Store(bad)
			pause()
			return nil
		}, keyOf(i))
		if err != nil {
			t.Errorf("Write: %v", err)
		}
	})
}

// C-09: after a value was written, ErrNotFound is not served any more.
func TestFenceNegativeEntryEndsWithWrite(t *testing.T) {
	l := newLedger(t, testkit.Trials(1_000, 25_000))
	l.race(t, 0, good, func(i int) {
		_ = l.cache.Write(func() error {
			l.values[i].Store(good)
			return nil
		}, keyOf(i))
	})
}

func TestFenceNothingStaleAfterWriteGroup(t *testing.T) {
	l := newLedger(t, testkit.Trials(1_000, 50_000))
	l.group = func(i int) cache.Key { return keyOf(-1 - i) }
	l.race(t, good, bad, func(i int) {
		_ = l.cache.WriteGroup(func() error {
			pause()
			l.values[i].Store(bad)
			pause()
			return nil
		}, l.group(i))
	})
}

// After a write, no caller joins a load that began earlier, and the cache drops that
// load's result.
func TestFenceLoadBegunBeforeWrite(t *testing.T) {
	for _, tt := range []struct {
		name  string
		write func(c *cache.Cache[int64], f func() error) error
	}{
		{"of the key", func(c *cache.Cache[int64], f func() error) error { return c.Write(f, keyOf(0)) }},
		{"of its group", func(c *cache.Cache[int64], f func() error) error { return c.WriteGroup(f, keyOf(1)) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := newCache(t, cache.Options{})
			reading, resume := make(chan struct{}), make(chan struct{})
			early := make(chan int64)
			go func() {
				v, _ := c.Load(t.Context(), keyOf(0), func(context.Context) (cache.Loaded[int64], error) {
					close(reading)
					<-resume
					return cache.Loaded[int64]{Value: cache.PointerTo(good), Tag: keyOf(1)}, nil
				})
				early <- cache.ValueOf(v)
			}()
			<-reading
			if err := tt.write(c, func() error { return nil }); err != nil {
				t.Fatal(err)
			}
			now := func(context.Context) (cache.Loaded[int64], error) {
				return cache.Loaded[int64]{Value: cache.PointerTo(bad), Tag: keyOf(1)}, nil
			}
			late := make(chan int64)
			go func() {
				v, _ := c.Load(t.Context(), keyOf(0), now)
				late <- cache.ValueOf(v)
			}()
			select {
			case v := <-late:
				if v != bad {
					t.Errorf("load after the write: got %d, want %d", v, bad)
				}
				close(resume)
			case <-time.After(time.Second):
				t.Error("a load after the write joined an earlier one")
				close(resume)
				<-late
			}
			<-early
			if v, err := c.Get(keyOf(0), c.At(time.Now())); err == nil && cache.ValueOf(v) != bad {
				t.Errorf("Get after the write: got %d, want %d or ErrMiss, since an earlier load must not fill the cache", cache.ValueOf(v), bad)
			}
		})
	}
}

// During a write there are neither hits nor fills, since the write may have taken effect
// already.
func TestFenceDuringWrite(t *testing.T) {
	for _, tt := range []struct {
		name  string
		write func(c *cache.Cache[int64], f func() error) error
	}{
		{"key", func(c *cache.Cache[int64], f func() error) error { return c.Write(f, keyOf(0)) }},
		{"group", func(c *cache.Cache[int64], f func() error) error { return c.WriteGroup(f, keyOf(1)) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := newCache(t, cache.Options{})
			load := func(context.Context) (cache.Loaded[int64], error) {
				return cache.Loaded[int64]{Value: cache.PointerTo(good), Tag: keyOf(1)}, nil
			}
			fill := func() {
				if v, err := c.Load(t.Context(), keyOf(0), load); cache.ValueOf(v) != good || err != nil {
					t.Fatalf("Load: got %d, %v", cache.ValueOf(v), err)
				}
			}
			fill()
			if _, err := c.Get(keyOf(0), c.At(time.Now())); err != nil {
				t.Fatalf("Get after Load: got %v, want no error", err)
			}
			_ = tt.write(c, func() error {
				if _, err := c.Get(keyOf(0), c.At(time.Now())); err != cache.ErrMiss {
					t.Errorf("Get during a write: got %v, want ErrMiss", err)
				}
				fill()
				if _, err := c.Get(keyOf(0), c.At(time.Now())); err != cache.ErrMiss {
					t.Errorf("Get after a Load during a write: got %v, want ErrMiss", err)
				}
				return nil
			})
			if _, err := c.Get(keyOf(0), c.At(time.Now())); err != cache.ErrMiss {
				t.Errorf("Get after a write: got %v, want ErrMiss", err)
			}
		})
	}
}

// A write that failed, panicked or ended its goroutine may have happened.
func TestFenceMovesOnFailure(t *testing.T) {
	c := newCache(t, cache.Options{})
	load := func(context.Context) (cache.Loaded[int64], error) {
		return cache.Loaded[int64]{Value: cache.PointerTo(good), Tag: keyOf(1)}, nil
	}
	failure := errors.New("connection lost")
	writes := map[string]func() error{
		"error":       func() error { return c.Write(func() error { return failure }, keyOf(0)) },
		"panic":       func() error { return c.Write(func() error { panic(failure) }, keyOf(0)) },
		"exit":        func() error { return c.Write(func() error { runtime.Goexit(); return nil }, keyOf(0)) },
		"group error": func() error { return c.WriteGroup(func() error { return failure }, keyOf(1)) },
		"group panic": func() error { return c.WriteGroup(func() error { panic(failure) }, keyOf(1)) },
		"group exit":  func() error { return c.WriteGroup(func() error { runtime.Goexit(); return nil }, keyOf(1)) },
	}
	for name, write := range writes {
		if _, err := c.Load(t.Context(), keyOf(0), load); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Get(keyOf(0), c.At(time.Now())); err != nil {
			t.Fatalf("Get after Load: %v", err)
		}
		if err := write(); err == nil || strings.HasSuffix(name, "error") && err != failure {
			t.Errorf("%s: Change returned %v, want the error of the write", name, err)
		}
		if _, err := c.Get(keyOf(0), c.At(time.Now())); err != cache.ErrMiss {
			t.Errorf("%s: Get = %v, want ErrMiss, since a failed write may have happened", name, err)
		}
	}
	// After that, the cache fills again.
	if _, err := c.Load(t.Context(), keyOf(0), load); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Get(keyOf(0), c.At(time.Now())); err != nil {
		t.Errorf("Get after a failed write and a new Load: got %v, want no error", err)
	}
}

// Writes of one stripe may overlap. The stripe is quiet when the last one has ended.
func TestFenceOverlappingWrites(t *testing.T) {
	c := newCache(t, cache.Options{})
	load := func(context.Context) (cache.Loaded[int64], error) {
		return cache.Loaded[int64]{Value: cache.PointerTo(good)}, nil
	}
	var all sync.WaitGroup
	for range 500 {
		all.Go(func() {
			_ = c.Write(func() error { pause(); return nil }, keyOf(0), keyOf(0), keyOf(1))
		})
	}
	all.Wait()
	_, _ = c.Load(t.Context(), keyOf(0), load)
	if _, err := c.Get(keyOf(0), c.At(time.Now())); err != nil {
		t.Errorf("Get after 500 overlapping writes and a Load: got %v, want no error", err)
	}
}

// C-02: during a write, one load may have read the old state and another the new one.
// A caller that arrives after the second load has returned must not join the first.
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
					return cache.Loaded[int64]{Value: cache.PointerTo(v), Tag: keyOf(1)}, nil
				}
				const late = 10
				early, answers := make(chan int64, 1), make(chan int64, late)
				ask := func(answers chan<- int64) {
					v, err := c.Load(t.Context(), keyOf(0), load)
					if err != nil {
						t.Errorf("Load during a write: %v", err)
					}
					answers <- cache.ValueOf(v)
				}
				_ = tt.write(c, func() error {
					go ask(early)
					synctest.Wait() // until the early load has read the stored value
					stored = bad
					for range late {
						go ask(answers)
					}
					synctest.Wait() // until the late callers wait for a load
					resume <- struct{}{}
					synctest.Wait() // until the one load that they share has read the stored value
					close(resume)
					synctest.Wait()
					return nil
				})
				<-early // may get either value
				for range late {
					if v := <-answers; v != bad {
						t.Errorf("load that began after the write had taken effect: got %d, want %d, since it must not join an earlier one", v, bad)
					}
				}
				if loads != 2 {
					t.Errorf("loads: got %d, want 2, since the late callers share one", loads)
				}
			})
		})
	}
}

// C-17: a write of one group neither prevents the fills of other groups nor ends their
// entries, even if it takes long.
func TestFenceOfAnotherGroup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const keys, rounds = 20, 50
		c := newCache(t, cache.Options{})
		var loads atomic.Int64
		load := func(context.Context) (cache.Loaded[int64], error) {
			loads.Add(1)
			time.Sleep(time.Millisecond)
			return cache.Loaded[int64]{Value: cache.PointerTo(good), Tag: keyOf(-1)}, nil
		}
		_ = c.WriteGroup(func() error {
			_ = c.WriteGroup(func() error { return nil }, keyOf(-3))
			for range rounds {
				var all sync.WaitGroup
				for i := range keys {
					all.Go(func() {
						if v, err := c.Load(t.Context(), keyOf(i), load); cache.ValueOf(v) != good || err != nil {
							t.Errorf("Load: got %d, %v", cache.ValueOf(v), err)
						}
					})
				}
				all.Wait()
			}
			return nil
		}, keyOf(-2))
		if got := loads.Load(); got != keys {
			t.Errorf("loads during a write of another group: got %d, want one for each of %d keys", got, keys)
		}
	})
}
