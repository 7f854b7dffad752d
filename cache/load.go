package cache

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"
)

// Loaded is what a load function found.
type Loaded[V any] struct {
	Value V

	// Absent says that there is no value. The answer is kept for
	// [Options.NegativeTTL], and Until and Group are ignored.
	Absent bool

	// Until, when set, ends the value's life, also as a stale one.
	Until time.Time

	// Age is how old the value already is, when it was not asked for just now.
	Age time.Duration

	// Kept says that the value was kept somewhere, as in a [Level], and that
	// its source was not asked. It is no sign that the source answers.
	Kept bool

	// Group, when set, names the group that the value belongs to, so that
	// [Cache.WriteGroup] can fence all of them without knowing their keys.
	Group Key
}

// Load calls load for the key's value and keeps what it finds, if nothing was
// written meanwhile. Callers for the same key share a load, but never one that
// began before a write that had ended when they came, nor, while a write is
// under way, one that began before they came.
//
// The load does not end when a caller's context does; ctx only gives its
// values and ends the caller's own wait. It is given [Options.LoadTimeout]; who
// came during a write may wait for two in turn. While the loads of different keys
// are slow to fail, others are held back, and Load fails at once; see breaker.go.
// Only values and their absence are kept. An error or a panic of load's is returned in another error, unless
// a value no older than [Options.StaleIfError] can be; what Load itself says of
// the key is [ErrNotFound] as it is, to be compared with ==.
func (c *Cache[V]) Load(ctx context.Context, key Key, load func(context.Context) (Loaded[V], error)) (V, error) {
	v, early, err := c.share(ctx, key, load)
	if early {
		// The next flight began after this one had ended.
		v, _, err = c.share(ctx, key, load)
	}
	return v, err
}

// share flies, or waits for who flies already. Early is set when that flight
// may have read before the caller came what a write under way has changed
// since, as others may have been told by then, or what was changed elsewhere
// while this process was stopped.
func (c *Cache[V]) share(ctx context.Context, key Key, load func(context.Context) (Loaded[V], error)) (v V, early bool, err error) {
	s := c.stripe(&key)
	if v, err, held := c.heldBack(&key, s); held {
		return v, false, err
	}
	// The epochs are read before the load begins. They are part of the
	// flight's name, so that nobody joins a flight that began before they came.
	// Whether memory is trusted counts as of now, too: it may be again before
	// a flight has landed that began before it was not.
	trusted, epoch, gen := c.trusted(), s.word.Load(), c.gen.Load()
	leads := false
	flight := c.flights.DoChan(flightName(&key, epoch, gen), func() (any, error) {
		leads = true
		return c.fly(ctx, key, epoch, gen, load)
	})
	select {
	case <-ctx.Done():
		// Nothing stale: the store may be well, and only this caller in a hurry.
		return v, false, fmt.Errorf("cache: waiting for a load: %w", context.Cause(ctx))
	case r := <-flight:
		if r.Err != nil {
			v, err = c.stale(&key, s, r.Err)
			return v, false, err
		}
		e := r.Val.(*entry[V])
		_, same := c.groups[e.group].since(gen)
		v, err = e.answer()
		return v, !leads && !(trusted && quiet(epoch) && same), err
	}
}

func flightName(key *Key, epoch, gen uint64) string {
	var name [len(key) + 16]byte
	copy(name[:], key[:])
	binary.LittleEndian.PutUint64(name[len(key):], epoch)
	binary.LittleEndian.PutUint64(name[len(key)+8:], gen)
	return string(name[:])
}

// fly is the one load that the callers share.
func (c *Cache[V]) fly(ctx context.Context, key Key, epoch, gen uint64, load func(context.Context) (Loaded[V], error)) (*entry[V], error) {
	open := c.gate.enter(&key)
	if open {
		defer c.gate.leave(&key)
	}
	// A value is as old as the beginning of its load.
	began := time.Now()
	// Another flight may have landed between the caller's Get and this one.
	if e := c.find(&key, began); e != nil {
		c.breaker.again(began.Sub(c.start))
		return e, nil
	}
	found, err := c.call(context.WithoutCancel(ctx), load)
	if err == nil && found.Kept {
		c.breaker.again(time.Since(c.start))
	} else {
		c.breaker.record(&key, began, time.Since(c.start), err)
	}
	if err != nil {
		return nil, err
	}
	e := c.newEntry(key, epoch, began, found)
	if open {
		c.fill(e, gen)
	}
	return e, nil
}

// errNobody is an error that nobody returns.
var errNobody = errors.New("nobody's error")

// call runs load with its time limit. A load that panics, exits its goroutine
// or ignores its context harms only itself; it keeps its place among maxLoads
// until it returns, so that a hanging store gathers no more of them than that.
func (c *Cache[V]) call(ctx context.Context, load func(context.Context) (Loaded[V], error)) (found Loaded[V], err error) {
	ctx, cancel := context.WithTimeout(ctx, c.opts.LoadTimeout)
	defer cancel()
	select {
	case c.loads <- struct{}{}:
	case <-ctx.Done():
		return found, fmt.Errorf("cache: waiting for one of %d loads to end: %w", maxLoads, ctx.Err())
	}
	type result struct {
		found Loaded[V]
		err   error
	}
	done := make(chan result, 1)
	go func() {
		r := result{err: errors.New("the load exited")}
		defer func() {
			if p := recover(); p != nil {
				r = result{err: fmt.Errorf("the load panicked: %v", p)}
			}
			<-c.loads
			done <- r
		}()
		found, err := load(ctx)
		_ = errors.Is(err, errNobody) // an error that panics when it is looked into does so here
		r = result{found, err}
	}()
	select {
	case r := <-done:
		if r.err != nil {
			return found, fmt.Errorf("cache: load: %w", r.err)
		}
		return r.found, nil
	case <-ctx.Done():
		return found, fmt.Errorf("cache: load: %w", ctx.Err())
	}
}

// fill keeps what was found. What cannot be kept ends at least what was known
// before, which an outage must not bring back.
func (c *Cache[V]) fill(e *entry[V], gen uint64) {
	s := c.stripe(&e.key)
	if !c.keep(e, s, gen) && c.opts.StaleIfError > 0 && c.lastKnown(&e.key, s) != nil {
		s.word.begin()
		s.word.end()
	}
}

// keep is false when something was or is being written. A write that begins
// after the check is no harm: e's epoch is then past, and it is never served.
func (c *Cache[V]) keep(e *entry[V], s *stripe[V], gen uint64) bool {
	if !quiet(e.epoch) || s.word.Load() != e.epoch {
		return false
	}
	// The group became known only with the value. Its epoch is the one from
	// before the load if the group was not written since.
	var same bool
	if e.groupEpoch, same = c.groups[e.group].since(gen); !same {
		return false
	}
	if !c.endOlder(e, s) {
		return false
	}
	shelf := c.present
	if e.absent {
		if c.opts.StaleIfError > 0 && c.lastKnown(&e.key, s) != nil {
			return false // kept apart, it would not end what is among the present
		}
		shelf = c.absent
	}
	shelf.Set(shelfID(&e.key), e, 1)
	s.keepRecent(e)
	return s.word.Load() == e.epoch
}

// quickSets is how soon after another a Set can lose to it in ristretto.
const quickSets = 100 * time.Millisecond

// endOlder sees to it that no entry from before the last doubt outlives e, to
// come back in an outage. Such an entry may be set just now, and ristretto keep
// it in the place of e.
func (c *Cache[V]) endOlder(e *entry[V], s *stripe[V]) bool {
	if c.opts.StaleIfError == 0 || int64(time.Since(c.start))-c.doubted.Load() >= int64(quickSets) {
		return true
	}
	ended := s.word.CompareAndSwap(e.epoch, e.epoch+oneVersion)
	e.epoch += oneVersion
	return ended
}
