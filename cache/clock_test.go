package cache

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// A Clock notices within a millisecond that the wall clock was set.
func TestClockReadsTheWallClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := NewClock()
		for range 100 {
			if got, want := c.Now(), c.At(time.Now()); got != want {
				t.Fatalf("got %+v, want %+v", got, want)
			}
			time.Sleep(wallInterval / 7)
		}
		c.offset.Add(int64(time.Hour)) // as if the wall clock had then been set back by an hour
		time.Sleep(wallInterval)
		if got, want := c.Now(), c.At(time.Now()); got != want {
			t.Errorf("a millisecond after the wall clock was set: got %+v, want %+v", got, want)
		}
		if got, want := c.Now().Wall(), time.Now(); !got.Equal(want) || c.Now().UnixMicro() != want.UnixMicro() {
			t.Errorf("got %v, want %v", got, want)
		}
	})
}

// While a goroutine stores an old reading, others use their own.
func TestClockIsReadByMany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := NewClock()
		time.Sleep(wallInterval)
		c.reading.Lock()
		c.offset.Add(int64(time.Hour))
		if got, want := c.Now(), c.At(time.Now()); got != want {
			t.Errorf("during another reading: got %+v, want %+v", got, want)
		}
		c.reading.Unlock()
		if got, want := c.Now(), c.At(time.Now()); got != want {
			t.Errorf("after an old reading: got %+v, want %+v", got, want)
		}
	})
}

// A reading is not stored if the goroutine was interrupted between the two clocks, or before it
// could store the reading. Otherwise the time would go back for all callers.
func TestClockStoresNoInterruptedReading(t *testing.T) {
	for _, tt := range []struct {
		name         string
		took, sooner time.Duration
		stored       bool
	}{
		{"a quick reading", quickReading - 1, 1, true},
		{"an interrupted reading", quickReading, 1, false},
		{"an old reading", 0, -1, false},
		{"the same reading", 0, 0, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := NewClock()
				time.Sleep(time.Second)
				c.offset.Store(1)
				c.read.Store(int64(time.Second - tt.sooner))
				if got, want := c.readWall(time.Second-tt.took), c.At(time.Now()); got != want {
					t.Errorf("got %+v, want %+v", got, want)
				}
				if stored := c.offset.Load() != 1; stored != tt.stored {
					t.Errorf("stored: got %t, want %t", stored, tt.stored)
				}
			})
		})
	}
}

// If an entry ends or becomes due, its version ends too.
func TestVersion(t *testing.T) {
	key := Key{8: 1}
	load := func(found Loaded[int]) func(*testing.T, *Cache[int]) (Version, error) {
		return func(t *testing.T, c *Cache[int]) (Version, error) {
			if v, version, err := c.GetVersion(key, c.now()); v != nil || version != (Version{}) || err != ErrMiss {
				t.Errorf("before the load: got %v, %v, %v, want ErrMiss", v, version, err)
			}
			_, _ = c.Load(t.Context(), key, func(context.Context) (Loaded[int], error) { return found, nil })
			_, version, err := c.GetVersion(key, c.now())
			return version, err
		}
	}
	value := Loaded[int]{Value: new(int)}
	for _, tt := range []struct {
		name string
		end  func(c *Cache[int])
		want bool
	}{
		{"nothing", func(*Cache[int]) {}, true},
		{"a write of another key", func(c *Cache[int]) { _ = c.Write(func() error { return nil }, Key{8: 2}) }, true},
		{"a write", func(c *Cache[int]) { _ = c.Write(func() error { return nil }, key) }, false},
		{"a write in progress", func(c *Cache[int]) { c.hold([]Key{key}, nil) }, false},
		{"an invalidation", func(c *Cache[int]) { c.Invalidate(key) }, false},
		{"a stale mark", func(c *Cache[int]) { c.MarkStale() }, false},
		{"the renewal", func(*Cache[int]) { time.Sleep(48 * time.Second) }, false},
		{"the end of the lease", func(c *Cache[int]) { c.ExtendLease(time.Now(), 0) }, false},
		{"the end of the cache", func(c *Cache[int]) { _ = c.Close(t.Context()) }, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newIntCache(t)
				version, err := load(value)(t, c)
				if err != nil || !c.IsCurrent(&version, c.now()) {
					t.Fatalf("after the load: got %v, current = %t", err, c.IsCurrent(&version, c.now()))
				}
				later := c.now()
				later.wall += int64(time.Minute) // the machine was suspended
				if c.IsCurrent(&version, later) {
					t.Error("current after its end by the wall clock")
				}
				tt.end(c)
				if got := c.IsCurrent(&version, c.now()); got != tt.want {
					t.Errorf("current: got %t, want %t", got, tt.want)
				}
			})
		})
	}
	for _, tt := range []struct {
		name  string
		found Loaded[int]
		want  error
	}{
		{"no value", Loaded[int]{Absent: true}, ErrNotFound},
		{"a value with a tag", Loaded[int]{Value: new(int), Tag: Key{8: 3}}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newIntCache(t)
				if version, err := load(tt.found)(t, c); err != tt.want || c.IsCurrent(&version, c.now()) {
					t.Errorf("got %v, current = %t, want %v and false", err, c.IsCurrent(&version, c.now()), tt.want)
				}
			})
		})
	}
}

// A version ends with its entry by the monotonic clock, even if a load has failed while the
// wall clock was ahead. Then the entry is due only after its end.
func TestVersionEndsWithItsEntry(t *testing.T) {
	c, err := New[int](Options{StaleIfError: 2 * time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close(context.Background()) })
	key := Key{8: 1}
	if _, err := c.Load(t.Context(), key, func(context.Context) (Loaded[int], error) { return Loaded[int]{Value: new(int)}, nil }); err != nil {
		t.Fatal(err)
	}
	e, now := c.table.find(&key), c.now()
	ahead := Time{now.elapsed, now.wall + int64(time.Hour)}
	c.postpone(e, ahead)
	back := Time{now.elapsed, now.wall - int64(time.Hour)}
	_, version, err := c.GetVersion(key, back)
	if err != nil || !c.IsCurrent(&version, back) {
		t.Fatalf("before the end: got %v, current = %t", err, c.IsCurrent(&version, back))
	}
	back.elapsed = e.ends
	if _, err := c.Get(key, back); err != ErrMiss || c.IsCurrent(&version, back) {
		t.Errorf("at the end: got %v, current = %t, want ErrMiss and false", err, c.IsCurrent(&version, back))
	}
}

func newIntCache(t *testing.T) *Cache[int] {
	t.Helper()
	c, err := New[int](Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close(context.Background()) })
	return c
}
