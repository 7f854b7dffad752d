package cache

import (
	"context"
	"encoding/binary"
	"testing"
	"time"
)

// A TTL of any length is a true bound.
func TestShortenNeverLengthens(t *testing.T) {
	for _, ttl := range []time.Duration{0, 1, time.Second, time.Minute, 30 * 24 * time.Hour, MaxDuration} {
		for part := range 1 << 16 {
			var key Key
			binary.LittleEndian.PutUint16(key[16:], uint16(part))
			if got := shorten(ttl, &key); got > ttl || got < ttl-ttl/10 {
				t.Fatalf("shortened TTL of %v: got %v, want up to a tenth less", ttl, got)
			}
		}
	}
}

// the age of a value is the greater of the ages by the two clocks.
func TestAgeUsesTheLaterClock(t *testing.T) {
	c, err := New[int](Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(context.Background()) })
	began := time.Now()
	e := c.newEntry(Key{1}, 0, began, Loaded[int]{Value: new(int)})
	if got := e.age(c.At(began.Add(time.Hour))); got != time.Hour {
		t.Errorf("an hour later by both clocks: got the age %v", got)
	}
	e.endsWall -= int64(8 * time.Hour) // the machine was suspended meanwhile
	if got := e.age(c.At(began.Add(time.Minute))); got != 8*time.Hour+time.Minute {
		t.Errorf("8 h and a minute later by the wall clock, a minute by the monotonic one: got the age %v", got)
	}
	e.endsWall += int64(16 * time.Hour) // the wall clock was set back
	if got := e.age(c.At(began.Add(time.Minute))); got != time.Minute {
		t.Errorf("a minute later by the monotonic clock, the wall clock set back: got the age %v", got)
	}
}

// However often an epoch is marked stale, it never has an earlier value again, and no write
// seems to be in progress.
func TestStaleMarksOverflow(t *testing.T) {
	var w epoch
	for range 3 {
		w.begin()
		w.end()
	}
	before, seen := w.Load(), map[uint64]bool{}
	for n := range 10_000 {
		if seen[w.Load()] || !quiet(w.Load()) {
			t.Fatalf("after %d stale marks: got the epoch %x, which is not new or says that a write is in progress", n, w.Load())
		}
		seen[w.Load()] = true
		// When the count of stale marks overflows, that counts as a write.
		if got, want := written(before, w.Load()), n >= 1<<12; got != want {
			t.Fatalf("after %d stale marks: written: got %t, want %t", n, got, want)
		}
		w.markStale()
	}
}
