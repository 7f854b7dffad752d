package cache_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/keyhatch/keyhatch/cache"
	"github.com/keyhatch/keyhatch/internal/testkit"
)

// A counted has a load function that counts its calls. Tests can make it fail.
type counted struct {
	calls atomic.Int64
	down  atomic.Bool
}

func (l *counted) load(context.Context) (cache.Loaded[int64], error) {
	l.calls.Add(1)
	if l.down.Load() {
		return cache.Loaded[int64]{}, errDown
	}
	return cache.Loaded[int64]{Value: cache.PointerTo(good)}, nil
}

// hang runs concurrent loads of n different keys that take their whole LoadTimeout.
func hang(t *testing.T, c *cache.Cache[int64], n int) {
	t.Helper()
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			if _, err := c.Load(t.Context(), keyOf(1_000_000+i), slow); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("Load that hangs: got %v, want DeadlineExceeded", err)
			}
		})
	}
	all.Wait()
}

func slow(ctx context.Context) (cache.Loaded[int64], error) {
	<-ctx.Done()
	return cache.Loaded[int64]{}, ctx.Err()
}

// A value of the shared cache does not show that the source works.
func TestSharedValueClosesNoBreaker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCache(t, cache.Options{})
		hang(t, c, 5)
		time.Sleep(time.Second)
		kept := func(context.Context) (cache.Loaded[int64], error) {
			return cache.Loaded[int64]{Value: cache.PointerTo(int64(1))}.FromShared(), nil
		}
		if v, err := c.Load(t.Context(), keyOf(0), kept); cache.ValueOf(v) != 1 || err != nil {
			t.Fatalf("Load of a value of the shared cache: got %d, %v", cache.ValueOf(v), err)
		}
		var l counted
		l.down.Store(true)
		for i := range 100 {
			_, _ = c.Load(t.Context(), keyOf(1+i), l.load)
		}
		if n := l.calls.Load(); n != 1 {
			t.Errorf("calls of a source that has not replied yet: got %d, want only the trial", n)
		}
	})
}

// A trial whose caller leaves while it waits for a place is given to the next load.
func TestAbandonedTrialIsGivenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCache(t, cache.Options{TTL: time.Second})
		var known counted
		if _, err := c.Load(t.Context(), keyOf(0), known.load); err != nil {
			t.Fatal(err)
		}
		for i := range 16 { // these hold all places of unknown keys, and open the breaker
			go func() {
				_, _ = c.Load(t.Context(), keyOf(1+i), func(context.Context) (cache.Loaded[int64], error) {
					time.Sleep(time.Minute)
					return cache.Loaded[int64]{}, errDown
				})
			}()
		}
		time.Sleep(5 * time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		if _, err := c.Load(ctx, keyOf(100), known.load); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("Load without a place: got %v, want DeadlineExceeded", err)
		}
		synctest.Wait()
		if _, err := c.Load(t.Context(), keyOf(0), known.load); err != nil || known.calls.Load() != 2 {
			t.Errorf("Load of another key: %v, %d calls of the source, want 2 calls, of which the second is the trial", err, known.calls.Load())
		}
		time.Sleep(time.Minute)
	})
}

// A load that began before the breaker opened, and then returns ErrOverloaded, does not
// make a trial due.
func TestBreakerIgnoresEarlierOverload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCache(t, cache.Options{})
		go func() {
			time.Sleep(time.Second)
			_, _ = c.Load(t.Context(), keyOf(0), func(context.Context) (cache.Loaded[int64], error) {
				time.Sleep(2*time.Second + 10*time.Millisecond)
				return cache.Loaded[int64]{}, cache.ErrOverloaded
			})
		}()
		hang(t, c, 5) // takes 3 s
		time.Sleep(20 * time.Millisecond)
		var l counted
		if _, err := c.Load(t.Context(), keyOf(1), l.load); err == nil || l.calls.Load() > 0 {
			t.Errorf("Load 20 ms after the breaker opened: got %v and %d calls of the source, want 0 calls for 375 ms", err, l.calls.Load())
		}
	})
}

// after slow failures of the loads of five keys in a row, only one load runs every
// half second, until one succeeds.
func TestBreaker(t *testing.T) {
	for _, same := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			c := newCache(t, cache.Options{})
			var l counted
			l.down.Store(true)
			hang(t, c, 5)
			var trials []time.Duration // times between trials
			last := time.Now()
			for n := 0; len(trials) < 8; n++ {
				before, began := l.calls.Load(), time.Now()
				key := keyOf(1_000_000) // one of the keys that failed
				if !same {
					key = keyOf(n)
				}
				if _, err := c.Load(t.Context(), key, l.load); err == nil || time.Since(began) > 0 {
					t.Fatalf("Load while the breaker is open: got %v after %v, want an immediate failure", err, time.Since(began))
				}
				if l.calls.Load() > before {
					trials = append(trials, time.Since(last))
					last = time.Now()
				}
				if time.Since(last) > 3*time.Second {
					t.Fatalf("same key %t: got no trial for 3 s after the pauses %v", same, trials)
				}
				time.Sleep(time.Millisecond)
			}
			want := 500 * time.Millisecond
			if same { // other keys get the first chance
				want += 500 * time.Millisecond
			}
			for n, got := range trials {
				if got < want*3/4 || got > want*5/4+2*time.Millisecond {
					t.Errorf("same key %t: pause before trial %d: got %v, want %v ±25%%", same, n, got, want)
				}
			}
			l.down.Store(false)
			time.Sleep(time.Second)
			before := l.calls.Load()
			for n := range 100 {
				if v, err := c.Load(t.Context(), keyOf(2_000+n), l.load); cache.ValueOf(v) != good || err != nil {
					t.Errorf("Load after the store has recovered: got %d, %v", cache.ValueOf(v), err)
				}
			}
			if n := l.calls.Load() - before; n != 100 {
				t.Errorf("loads of 100 keys after the store has recovered: got %d, want all", n)
			}
		})
	}
}

// The breaker allows one trial every half second, regardless of the number of callers, and
// even if trials hang.
func TestBreakerTriesOneLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCache(t, cache.Options{})
		hang(t, c, 5)
		time.Sleep(time.Second)
		var calls atomic.Int64
		for i := range 1_000 {
			go func() {
				_, _ = c.Load(t.Context(), keyOf(i%10), func(ctx context.Context) (cache.Loaded[int64], error) {
					calls.Add(1)
					return slow(ctx)
				})
			}()
		}
		synctest.Wait()
		if n := calls.Load(); n != 1 {
			t.Errorf("loads while the breaker is open: got %d, want one trial", n)
		}
		time.Sleep(time.Minute)
	})
}

// The breaker opens after slow failures of several keys, and neither after fast failures
// nor after failures of a single key.
func TestBreakerOpens(t *testing.T) {
	panics := func(context.Context) (cache.Loaded[int64], error) { panic("boom") }
	type step = func(t *testing.T, c *cache.Cache[int64])
	load := func(key int, f func(context.Context) (cache.Loaded[int64], error)) step {
		return func(t *testing.T, c *cache.Cache[int64]) { _, _ = c.Load(t.Context(), keyOf(key), f) }
	}
	ok := func(key int) step { return load(key, found(1, new(atomic.Int64))) }
	times := func(n int, steps ...step) (all []step) {
		for range n {
			all = append(all, steps...)
		}
		return all
	}
	each := func(n int, f func(context.Context) (cache.Loaded[int64], error)) (all []step) {
		for key := range n {
			all = append(all, load(key, f))
		}
		return all
	}
	for _, tt := range []struct {
		name  string
		steps []step
		held  bool
	}{
		{"four slow ones", each(4, slow), false},
		{"five slow ones", each(5, slow), true},
		{"five fast ones", each(5, down), false},
		{"a hundred panics", each(100, panics), false},
		{"a success between", append(append(each(3, slow), ok(9)), load(6, slow), load(7, slow)), false},
		{"an absence between", append(append(each(3, slow), load(9, missing)), load(6, slow), load(7, slow)), false},
		{"one bad record", times(100, load(0, down)), false},
		{"one that hangs", times(20, load(0, slow)), false},
		{"four that hang, again and again", times(5, each(4, slow)...), false},
		{"fast ones, then slow ones", append(each(5, down), each(5, slow)...), true},
		{"fast ones, then slow ones of other keys", append(each(5, down), load(10, slow), load(11, slow), load(12, slow), load(13, slow), load(14, slow)), true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCache(t, cache.Options{NegativeTTL: time.Nanosecond})
				for _, step := range tt.steps {
					step(t, c)
				}
				var l counted
				_, err := c.Load(t.Context(), keyOf(5), l.load)
				if held := l.calls.Load() == 0 && err != nil; held != tt.held {
					t.Errorf("next load refused by the breaker: got %t (%v), want %t", held, err, tt.held)
				}
			})
		})
	}
}

// Keys whose loads always fail do not block the loads of other keys, however often they
// are loaded.
func TestBadKeysDoNotBlockOthers(t *testing.T) {
	for name, bad := range map[string]func(context.Context) (cache.Loaded[int64], error){"fails": down, "hangs": slow} {
		synctest.Test(t, func(t *testing.T) {
			c := newCache(t, cache.Options{})
			end := time.Now().Add(time.Minute)
			for i := range 5 {
				go func() {
					for time.Now().Before(end) {
						_, _ = c.Load(t.Context(), keyOf(i), bad)
						time.Sleep(5 * time.Millisecond)
					}
				}()
			}
			refused := 0
			for n := 0; time.Now().Before(end); n++ {
				if _, err := c.Load(t.Context(), keyOf(100+n), found(1, new(atomic.Int64))); err != nil {
					refused++
				}
				time.Sleep(100 * time.Millisecond)
			}
			if refused > 0 {
				t.Errorf("the load %s for five keys only: got %d refused loads of other keys, want 0", name, refused)
			}
			time.Sleep(10 * time.Second)
		})
	}
}

// While the breaker is open, Load returns at once the values that StaleIfError allows, and
// errors for all other keys.
func TestOpenBreakerServesStale(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCache(t, cache.Options{TTL: time.Minute, StaleIfError: 10 * time.Minute})
		var calls atomic.Int64
		for i := range 3 {
			_, _ = c.Load(t.Context(), keyOf(i), found(7, &calls))
		}
		c.Invalidate(keyOf(1))
		time.Sleep(2 * time.Minute)
		hang(t, c, 5)
		for _, tt := range []struct {
			name string
			key  int
			want error
		}{
			{"known", 0, nil},
			{"written since", 1, context.DeadlineExceeded},
			{"unknown", 3, context.DeadlineExceeded},
		} {
			began := time.Now()
			if _, err := c.Load(t.Context(), keyOf(tt.key), slow); !errors.Is(err, tt.want) || time.Since(began) > 0 {
				t.Errorf("%s: got %v after %v, want %v at once", tt.name, err, time.Since(began), tt.want)
			}
		}
		time.Sleep(9 * time.Minute)
		if _, err := c.Load(t.Context(), keyOf(0), down); err == nil {
			t.Error("a value older than StaleIfError is served in an outage")
		}
	})
}

// If a trial finds an entry in memory, the next caller may run the trial.
func TestTrialServedFromCache(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCache(t, cache.Options{})
		var l counted
		_, _ = c.Load(t.Context(), keyOf(0), l.load)
		hang(t, c, 5)
		time.Sleep(time.Second)
		for range 3 { // like callers that missed just before the fill
			if v, err := c.Load(t.Context(), keyOf(0), l.load); cache.ValueOf(v) != good || err != nil {
				t.Errorf("Load of a cached key: got %d, %v", cache.ValueOf(v), err)
			}
		}
		if v, err := c.Load(t.Context(), keyOf(1), l.load); cache.ValueOf(v) != good || err != nil || l.calls.Load() != 2 {
			t.Errorf("Load after a trial that was served from memory: got %d, %v, want another trial", cache.ValueOf(v), err)
		}
	})
}

// A service reads random keys from the cache at a constant rate. It counts the requests.
type service struct {
	*cache.Cache[int64]
	keys     int
	rate     int // requests in a second
	load     func(context.Context) (cache.Loaded[int64], error)
	counting atomic.Bool
	took     chan time.Duration // durations of the requests, while they are measured
	failed   atomic.Int64
}

func (s *service) run(t *testing.T, span time.Duration) {
	t.Helper()
	for end := time.Now().Add(span); time.Now().Before(end); time.Sleep(time.Second / time.Duration(s.rate)) {
		key, began := keyOf(rand.IntN(s.keys)), time.Now()
		if _, err := s.Get(key, s.At(began)); err == nil {
			s.record(0)
			continue
		}
		go func() {
			if _, err := s.Load(t.Context(), key, s.load); err != nil {
				s.failed.Add(1)
			}
			s.record(time.Since(began))
		}()
	}
}

func (s *service) record(took time.Duration) {
	if s.counting.Load() {
		s.took <- took
	}
}

// a store that takes 5 s for each call delays hardly any request, and neither loads
// nor goroutines pile up.
func TestSlowStore(t *testing.T) {
	for _, staleIfError := range []time.Duration{0, time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			var slow atomic.Bool
			var under, most atomic.Int64
			s := &service{
				Cache: newCache(t, cache.Options{StaleIfError: staleIfError}), keys: 5_000, rate: 1_000,
				took: make(chan time.Duration, 200_000),
				load: func(ctx context.Context) (cache.Loaded[int64], error) {
					if slow.Load() {
						if n := under.Add(1); n > most.Load() {
							most.Store(n)
						}
						defer under.Add(-1)
						time.Sleep(5 * time.Second)
					}
					return cache.Loaded[int64]{Value: cache.PointerTo(good)}, ctx.Err()
				},
			}
			for i := range s.keys {
				_, _ = s.Load(t.Context(), keyOf(i), s.load)
				time.Sleep(time.Minute / time.Duration(s.keys))
			}
			s.run(t, time.Minute)
			synctest.Wait()
			s.failed.Store(0)
			s.counting.Store(true)
			slow.Store(true)
			goroutines := 0
			for range 60 {
				s.run(t, time.Second)
				goroutines = max(goroutines, runtime.NumGoroutine())
			}
			time.Sleep(10 * time.Second)
			synctest.Wait()
			close(s.took)
			var all []time.Duration
			for took := range s.took {
				all = append(all, took)
			}
			slices.Sort(all)
			if p99 := all[len(all)*99/100]; p99 > 300*time.Millisecond {
				t.Errorf("p99 of %d requests with a store that takes 5 s: got %v, want at most 300 ms", len(all), p99)
			}
			if most.Load() > 64 || goroutines > 2_000 {
				t.Errorf("got %d concurrent loads and %d goroutines, want at most 64 and 2,000", most.Load(), goroutines)
			}
			if n := s.failed.Load(); staleIfError > 0 && n > 0 {
				t.Errorf("got %d failures of %d requests, although StaleIfError allows the previous values", n, len(all))
			}
			t.Logf("%d requests, p99 %v, longest %v, at most %d loads and %d goroutines, %d errors",
				len(all), all[len(all)*99/100], all[len(all)-1], most.Load(), goroutines, s.failed.Load())
		})
	}
}

// a store that recovers from an outage gets at most twice as many calls in any second
// as before, even after two outages.
func TestRecovery(t *testing.T) {
	for _, outages := range []int{1, 2} {
		synctest.Test(t, func(t *testing.T) {
			keys := testkit.Trials(800, 10_000)
			if testkit.Race {
				keys = 200
			}
			var l counted
			s := &service{Cache: newCache(t, cache.Options{StaleIfError: time.Hour}), keys: keys, rate: keys / 2, load: l.load}
			s.run(t, 2*time.Minute)
			peak := func(span time.Duration) (most int64) {
				for range span / time.Second {
					before := l.calls.Load()
					s.run(t, time.Second)
					most = max(most, l.calls.Load()-before)
				}
				return most
			}
			steady := peak(time.Minute)
			s.failed.Store(0)
			for n := range outages {
				l.down.Store(true)
				s.run(t, 5*time.Minute)
				l.down.Store(false)
				if n < outages-1 {
					s.run(t, 10*time.Second)
				}
			}
			after := peak(2 * time.Minute)
			if after > 2*steady {
				t.Errorf("%d outages: got %d loads per second after the last one, %d before the first, want at most twice as many", outages, after, steady)
			}
			if n := s.failed.Load(); n > 0 {
				t.Errorf("%d outages: got %d failed requests, although all keys were known", outages, n)
			}
			t.Logf("%d outages of %d keys: %d loads per second before, at most %d after", outages, keys, steady, after)
		})
	}
}

// If a store fails for two seconds of each minute, values are still reloaded.
func TestOutagesInARow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCache(t, cache.Options{TTL: time.Minute, StaleIfError: time.Hour})
		began := time.Now()
		load := func(context.Context) (cache.Loaded[int64], error) {
			since := time.Since(began)
			if since%time.Minute > 58*time.Second {
				return cache.Loaded[int64]{}, errDown
			}
			return cache.Loaded[int64]{Value: cache.PointerTo(int64(since))}, nil
		}
		for time.Since(began) < time.Hour {
			for key := range 20 {
				v, err := use(t.Context(), c, key, load)
				if age := time.Since(began) - time.Duration(v); err != nil || age > time.Minute+10*time.Second {
					t.Fatalf("got a value that is %v old (%v), although the store works most of the time", age, err)
				}
			}
			time.Sleep(700 * time.Millisecond)
		}
	})
}

// After a load has failed, a value is served for a while without another load, unless it
// was written, is marked stale or is too old.
func TestPostponedLoad(t *testing.T) {
	nothing := func(*cache.Cache[int64]) {}
	for _, tt := range []struct {
		name          string
		before, after func(c *cache.Cache[int64]) // the load that fails
		later         time.Duration
		postpone      bool
	}{
		{"nothing happened", nothing, nothing, 0, true},
		{"written since", nothing, func(c *cache.Cache[int64]) { c.Invalidate(keyOf(0)) }, 0, false},
		{"group written since", nothing, func(c *cache.Cache[int64]) { c.InvalidateGroup(keyOf(1)) }, 0, false},
		{"marked stale since", nothing, func(c *cache.Cache[int64]) { c.MarkStale() }, 0, false},
		{"marked stale before", func(c *cache.Cache[int64]) { c.MarkStale() }, nothing, 0, false},
		{"no lease", nothing, func(c *cache.Cache[int64]) { c.ExtendLease(time.Now(), 0) }, 0, false},
		{"another instance silent", nothing, func(c *cache.Cache[int64]) { c.ExtendLease(time.Now().Add(time.Hour), 10*time.Second) }, 0, false},
		{"a TTL later", nothing, nothing, time.Minute, false},
		{"past StaleIfError", func(*cache.Cache[int64]) { time.Sleep(3*time.Minute + 50*time.Second) }, nothing, 15 * time.Second, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCache(t, cache.Options{TTL: time.Minute, StaleIfError: 5*time.Minute + time.Second})
				var l counted
				load := func(ctx context.Context) (cache.Loaded[int64], error) {
					found, err := l.load(ctx)
					found.Tag = keyOf(1)
					return found, err
				}
				_, _ = c.Load(t.Context(), keyOf(0), load)
				time.Sleep(70 * time.Second)
				tt.before(c)
				l.down.Store(true)
				if v, err := c.Load(t.Context(), keyOf(0), load); cache.ValueOf(v) != good || err != nil {
					t.Fatalf("Load that fails: got %d, %v, want the previous value", cache.ValueOf(v), err)
				}
				l.down.Store(false)
				tt.after(c)
				time.Sleep(tt.later)
				before := l.calls.Load()
				if v, err := c.Load(t.Context(), keyOf(0), load); cache.ValueOf(v) != good || err != nil {
					t.Fatalf("Load after the failed one: got %d, %v", cache.ValueOf(v), err)
				}
				if postpone := l.calls.Load() == before; postpone != tt.postpone {
					t.Errorf("served without a load: got %t, want %t", postpone, tt.postpone)
				}
			})
		})
	}
}

// after an outage of any length, values that had all ended at once are reloaded at
// different times, all of them within a TTL and within the length of the outage.
func TestLoadsAreSpreadAfterAnOutage(t *testing.T) {
	long := time.Hour
	if testkit.Race {
		long = 5 * time.Minute
	}
	for outage, longest := range map[time.Duration]time.Duration{10 * time.Second: 10 * time.Second, long: time.Minute} {
		synctest.Test(t, func(t *testing.T) {
			const n, step = 100, 500 * time.Millisecond
			c := newCache(t, cache.Options{TTL: time.Minute, StaleIfError: 2 * time.Hour})
			var l counted
			uses := func() {
				for i := range n {
					key := keyOf(i)
					key[16], key[17] = 0, 0 // otherwise their jittered TTLs would differ
					if _, err := c.Get(key, c.At(time.Now())); err != cache.ErrMiss {
						continue
					}
					if _, err := c.Load(t.Context(), key, l.load); err != nil {
						t.Fatal(err)
					}
				}
				time.Sleep(step)
			}
			uses()
			time.Sleep(time.Minute)
			l.down.Store(true)
			for began := time.Now(); time.Since(began) < outage; {
				uses()
			}
			l.down.Store(false)
			l.calls.Store(0)
			began, most := time.Now(), int64(0)
			for l.calls.Load() < n {
				if time.Since(began) > longest+time.Second {
					t.Fatalf("reloaded values: got %d of %d %v after an outage of %v, want all", l.calls.Load(), n, time.Since(began), outage)
				}
				before := l.calls.Load()
				uses()
				most = max(most, l.calls.Load()-before)
			}
			if most > n/4 {
				t.Errorf("got %d of %d values reloaded within %v after an outage of %v, which is not spread", most, n, step, outage)
			}
		})
	}
}

// Loaded.Age shortens the lifetime of a value that was read earlier.
func TestAgeShortensLifetime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCache(t, cache.Options{TTL: time.Minute, NegativeTTL: 5 * time.Second, StaleIfError: 2 * time.Minute})
		of := func(age time.Duration, absent bool) func(context.Context) (cache.Loaded[int64], error) {
			return func(context.Context) (cache.Loaded[int64], error) {
				return cache.Loaded[int64]{Value: cache.PointerTo(good), Absent: absent, Age: age}, nil
			}
		}
		for n, tt := range []struct {
			name      string
			age       time.Duration
			absent    bool
			low, high time.Duration
		}{
			{"just now", 0, false, 54 * time.Second, 60 * time.Second},
			{"50 s old", 50 * time.Second, false, 4 * time.Second, 10 * time.Second},
			{"as old as its TTL", time.Minute, false, 0, 0},
			{"an hour old", time.Hour, false, 0, 0},
			{"as old as can be", 1<<63 - 1, false, 0, 0},
			{"from the future", -time.Hour, false, 54 * time.Second, 60 * time.Second},
			{"an absence of 3 s", 3 * time.Second, true, 1500 * time.Millisecond, 2 * time.Second},
			{"an absence of 10 s", 10 * time.Second, true, 0, 0},
		} {
			_, _ = c.Load(t.Context(), keyOf(n), of(tt.age, tt.absent))
			began := time.Now()
			for {
				if !c.Serves(keyOf(n), time.Now()) {
					break
				}
				time.Sleep(10 * time.Millisecond)
			}
			if got := time.Since(began); got < tt.low || got > tt.high+10*time.Millisecond {
				t.Errorf("%s: served for %v, want %v to %v", tt.name, got, tt.low, tt.high)
			}
		}
		_, _ = c.Load(t.Context(), keyOf(100), of(50*time.Second, false))
		time.Sleep(65 * time.Second)
		if _, err := c.Load(t.Context(), keyOf(100), down); err != nil {
			t.Errorf("Load in an outage of a value that is 115 s old: got %v, want the value", err)
		}
		time.Sleep(10 * time.Second)
		if _, err := c.Load(t.Context(), keyOf(100), down); !errors.Is(err, errDown) {
			t.Errorf("Load in an outage of a value that is 125 s old: got %v, want the failure, since its age counts for StaleIfError", err)
		}
	})
}
