package cache

import (
	"sync"
	"sync/atomic"
	"time"
)

// A Clock reads the time for caches that are used together. Create it with [NewClock]. Its methods
// may be called from many goroutines.
type Clock struct {
	start  time.Time    // elapsed times count from here
	read   atomic.Int64 // elapsed time of the latest stored reading of the wall clock
	offset atomic.Int64 // the wall clock minus the elapsed time, at that reading

	reading sync.Mutex // held while a reading is stored
}

// wallInterval is the maximum age of a reading of the wall clock.
const wallInterval = time.Millisecond

// quickReading is longer than it takes to read both clocks, unless the goroutine is interrupted.
const quickReading = 20 * time.Microsecond

// A Time is an instant by both clocks of the process. The monotonic clock is never set,
// but stands still while the machine is suspended. The wall clock goes on, but can be set.
// A Time is only valid for caches with the [Clock] that returned it.
type Time struct {
	elapsed time.Duration // by the monotonic clock
	wall    int64         // Unix nanoseconds
}

// NewClock returns a Clock for [Options.Clock].
func NewClock() *Clock {
	c := &Clock{start: time.Now()}
	c.read.Store(-int64(wallInterval)) // so that the first call of Now reads the wall clock
	return c
}

// Now returns the current time. It reads the monotonic clock each time, but the wall clock only if
// its last reading is a millisecond old, since reading both takes twice as long. So after the wall
// clock was set, or the machine was suspended, the time by the wall clock is wrong for at most a
// millisecond.
func (c *Clock) Now() Time {
	elapsed := time.Since(c.start)
	if elapsed-time.Duration(c.read.Load()) >= wallInterval {
		return c.readWall(elapsed)
	}
	return Time{elapsed, int64(elapsed) + c.offset.Load()}
}

// readWall reads both clocks. The given time is the elapsed time at the call.
func (c *Clock) readWall(elapsed time.Duration) Time {
	now := c.At(time.Now())
	// If the goroutine was interrupted between the two clocks, their difference is wrong. Such a
	// reading is not stored, since the wall time of all callers would go back. If another
	// goroutine is storing its reading, this one need not be stored.
	if now.elapsed-elapsed < quickReading && c.reading.TryLock() {
		// If the goroutine was interrupted after its reading, a later one may be stored already.
		if int64(now.elapsed) > c.read.Load() {
			c.offset.Store(now.wall - int64(now.elapsed))
			c.read.Store(int64(now.elapsed))
		}
		c.reading.Unlock()
	}
	return now
}

// At converts a time that [time.Now] has returned in this process.
func (c *Clock) At(t time.Time) Time { return Time{t.Sub(c.start), t.UnixNano()} }

// Wall returns the time by the wall clock, in UTC.
func (t Time) Wall() time.Time { return time.Unix(0, t.wall).UTC() }

// UnixMicro returns the time by the wall clock in Unix microseconds.
func (t Time) UnixMicro() int64 { return t.wall / 1000 }
