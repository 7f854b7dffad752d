package limit

import (
	"math"
	"time"
)

// buckets is the number of parts of a window. With more of them, an owner gets units back sooner
// after the window has passed, but a counter takes more memory.
const buckets = 60

// A counter counts the units of a rule in a ring of buckets. Each bucket covers a sixtieth of the
// window. The ring has one more, since a window that begins within a bucket ends within the
// sixtieth bucket after it. So no window has more units than the ring, and the oldest bucket counts
// as a whole: an owner who always uses all units gets at least 59/60 of them in the long run.
type counter struct {
	name   string
	window time.Duration
	width  time.Duration       // of a bucket: a sixtieth of the window, rounded up
	latest int64               // number of the latest bucket, counted from the start of the limiter
	sum    int64               // of the ring
	ring   [buckets + 1]uint32 // a bucket has the index of its number modulo the length
}

// advance removes the buckets that are no longer in the window that ends now.
func (c *counter) advance(window, now time.Duration) {
	if c.window != window {
		c.resize(window, now)
	}
	current := int64(now / c.width)
	for c.latest < current {
		if current-c.latest > buckets {
			c.ring, c.sum, c.latest = [buckets + 1]uint32{}, 0, current
			return
		}
		c.latest++
		c.sum -= int64(c.ring[c.latest%(buckets+1)])
		c.ring[c.latest%(buckets+1)] = 0
	}
}

// resize changes the length of the window. The units that still count are counted as if they were
// taken now, since buckets of one width cannot be divided into those of another.
func (c *counter) resize(window, now time.Duration) {
	if c.window != 0 {
		c.advance(c.window, now)
	}
	sum := c.sum
	c.window, c.width = window, (window+buckets-1)/buckets
	c.ring, c.sum = [buckets + 1]uint32{}, 0
	c.latest = int64(now / c.width)
	c.add(sum, c.latest)
}

// add adds units to a bucket, unless it is no longer in the ring. It takes units off if units is
// negative. A bucket has at least 0 and at most 2³²-1 units; what exceeds that is ignored.
func (c *counter) add(units, bucket int64) {
	if c.latest-bucket > buckets {
		return
	}
	slot := &c.ring[bucket%(buckets+1)]
	units = min(max(units, -int64(*slot)), math.MaxUint32-int64(*slot))
	*slot = uint32(int64(*slot) + units)
	c.sum += units
}

// decide updates d with the decision of the rule with index i about a cost. d then has the rule
// with the fewest units left, or, if a rule has refused, the refusing rule with the longest wait.
func (c *counter) decide(d *Decision, i int, r *Rule, cost int64, now time.Duration) {
	left := max(r.Units-c.sum, 0)
	if cost <= left && (cost > 0 || left > 0) {
		if d.Allowed && (d.Rule < 0 || left < d.Remaining) {
			d.Rule, d.Remaining = i, left
		}
		return
	}
	wait := c.wait(r, max(cost, 1), now)
	if d.Allowed || wait == Never || d.RetryAfter != Never && wait > d.RetryAfter {
		d.Allowed, d.Rule, d.Remaining, d.RetryAfter = false, i, left, wait
	}
}

// wait returns the time after which the rule admits a cost of at least one unit, if nothing else
// is taken. It removes buckets in the order of their age until the cost fits.
func (c *counter) wait(r *Rule, cost int64, now time.Duration) time.Duration {
	if cost > r.Units {
		return Never
	}
	sum := c.sum
	for bucket := c.latest - buckets; ; bucket++ {
		if sum+cost <= r.Units {
			// The cost fits when the bucket before this one has left the ring. It leaves when
			// the bucket begins that is 60 after this one.
			return time.Duration(bucket+buckets)*c.width - now
		}
		if bucket >= 0 {
			sum -= int64(c.ring[bucket%(buckets+1)])
		}
	}
}
