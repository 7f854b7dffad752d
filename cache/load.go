package cache

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/keyhatch/keyhatch/internal/guard"
)

// Loaded is the result of a load function.
type Loaded[V any] struct {
	Value V

	// Absent says that there is no value. That is kept for
	// [Options.NegativeTTL]. Until and Group are ignored.
	Absent bool

	// Ended says that the value is of no use, as that of a revoked key. Its key
	// counts as unknown: it shares the places of keys without a value, and is not
	// renewed ahead.
	Ended bool

	// Until, if set, is when the value ends. It is not served stale after that
	// either.
	Until time.Time

	// Age is how old the value is already, if it was not read just now.
	Age time.Duration

	// Group, if set, names the group of the value, so that [Cache.Change] can
	// invalidate all values of a group without their keys.
	Group Key

	// Encode, if set, returns what the shared cache keeps of the value; see
	// [Cache.Share].
	Encode func() ([]byte, error)

	kept bool // it came from the shared cache, which is no success of the source
}

// Load returns the cached value, or calls load and keeps the result unless the key
// was written meanwhile. Concurrent loads of a key are merged, except that a caller
// never joins a load that may have read its source before the latest write.
//
// A value in use is reloaded before it expires: in the last fifth of its life, Load
// returns it and reloads it in the background.
//
// If load did not ask the source, it must return ErrOverloaded unwrapped. That does
// not count as a failure.
//
// load gets the values of ctx. The end of ctx ends the caller's wait, but not the
// load, which is bounded by [Options.LoadTimeout]. At most 48 loads of known keys run
// at once, and 16 of keys without a usable cached value. The latter wait for up to a
// quarter of the LoadTimeout, in a queue of 1,024. Loads of known keys wait for up to
// four LoadTimeouts, but only until the source has served nobody for one. A load is
// dropped if no caller is left. A caller that arrives during a write may wait for two
// loads.
//
// Load returns [ErrNotFound] if there is no value. It returns [ErrOverloaded] if it
// did not call load because too many others were running, or if 1,024 callers wait
// for the same load and it has taken more than a quarter of the LoadTimeout. Both
// errors are returned unwrapped. If load fails or panics, or has failed so often
// that the circuit breaker is open, Load returns the previous value if it is
// younger than [Options.StaleIfError], and otherwise another error. It also returns
// the previous value if a load takes longer than 50 ms.
func (c *Cache[V]) Load(ctx context.Context, key Key, load func(context.Context) (Loaded[V], error)) (V, error) {
	now := time.Now()
	if e := c.find(&key, now.Sub(c.start), now.UnixNano()); e != nil {
		if c.claimRenewal(e, now) {
			go c.renew(context.WithoutCancel(ctx), e, load)
		}
		return e.answer()
	}
	v, early, err := c.share(ctx, &key, load)
	if early {
		// The next flight began after this one had ended.
		v, _, err = c.share(ctx, &key, load)
	}
	return v, err
}

// share starts a flight, or waits for the current one. early reports that this
// flight may have read the source before a change of which the caller may know: a
// write that is still running, or one elsewhere while this process was stopped.
func (c *Cache[V]) share(ctx context.Context, key *Key, load func(context.Context) (Loaded[V], error)) (v V, early bool, err error) {
	if ctx.Err() != nil {
		return v, false, gaveUp(ctx)
	}
	known := c.latest(key)
	if known != nil && c.isPutOff(known, time.Now()) {
		return known.value, false, nil
	}
	if !c.breaker.Ready(*key) {
		v, err = c.stale(key, c.refusal())
		return v, false, err
	}
	// The lease counts as of now, too: it may be back before a flight has landed that
	// began before it ended.
	leased, id := c.holdsLease(), c.flightID(key)
	f, leads := c.join(ctx, id)
	if f == nil {
		return v, false, ErrOverloaded
	}
	defer c.leave(f)
	if leads {
		go c.fly(f, known != nil && !known.ended, nil, load)
	}
	late, err := c.await(ctx, f, known)
	switch {
	case err != nil:
		return v, false, err
	case late:
		return known.value, false, nil
	case f.err == ErrOverloaded:
		return v, false, f.err // nothing stale: the source was not asked
	case f.err != nil:
		v, err = c.stale(key, f.err)
		return v, false, err
	}
	_, same := c.groups[f.entry.group].since(id.gen)
	v, err = f.entry.answer()
	return v, !leads && !(leased && quiet(id.epoch) && same), err
}

// flightID reads the epochs, which must be done before the load begins.
func (c *Cache[V]) flightID(key *Key) flightID {
	return flightID{*key, c.epochOf(key).Load(), c.gen.Load()}
}

func gaveUp(ctx context.Context) error {
	return fmt.Errorf("cache: waiting for a load: %w", ctx.Err())
}

// await waits for a flight to land, or for the end of the caller's context, which
// says nothing about the source and so is no reason for a stale value. It returns
// late if the flight is late, the source is slow and the known value may be
// served. That a flight waits for its place does not show that the source is slow.
func (c *Cache[V]) await(ctx context.Context, f *flight[V], known *entry[V]) (late bool, err error) {
	patient := time.NewTimer(patience - time.Since(f.began))
	defer patient.Stop()
	for {
		select {
		case <-f.landed:
			return false, nil
		case <-ctx.Done():
			return false, gaveUp(ctx)
		case now := <-patient.C:
			switch {
			case known == nil || !c.mayBeSpared(known, now):
			case c.slow.Load() > 0 || c.outage() != nil:
				return true, nil
			default:
				patient.Reset(patience / 5)
			}
		}
	}
}

// fly is the one load that the callers share. A renewal is of an entry that may
// still be served.
func (c *Cache[V]) fly(f *flight[V], known bool, renewed *entry[V], load func(context.Context) (Loaded[V], error)) {
	key := &f.id.key
	// Another flight may have landed between the caller's look into memory and
	// this one.
	now := time.Now()
	e := c.find(key, now.Sub(c.start), now.UnixNano())
	if e != nil && (renewed == nil || e.began > renewed.began) {
		c.land(f, e, nil)
		return
	}
	// The trial is claimed before the queue, which may be one for places that calls
	// that hang never give back.
	trial := !c.breaker.Closed()
	if trial && !c.breaker.Allow(*key) {
		c.land(f, nil, c.refusal())
		return
	}
	release, err := c.acquire(f, known)
	if err == nil && !c.takeOff(f) {
		release()
		err = ErrOverloaded // no caller is left to get it
	}
	if err != nil {
		c.land(f, nil, err)
		return
	}
	e, err = c.ask(f, trial, release, load)
	if err == nil {
		c.fill(e, f.id.gen)
	}
	c.land(f, e, err)
}

// acquire takes a place for a load. Unknown keys have few places of their own, so that
// they keep no known key waiting, nor the other way round.
func (c *Cache[V]) acquire(f *flight[V], known bool) (release func(), err error) {
	release = c.strangers.Release
	if known {
		release = c.known.Release
		ends := time.Now().Add(knownWait * c.opts.LoadTimeout)
		err = c.known.AcquireWhile(f.ctx, c.opts.LoadTimeout, func() time.Duration { return min(c.untilStuck(), time.Until(ends)) })
	} else {
		err = c.strangers.Acquire(f.ctx, c.wait())
	}
	switch {
	case err == nil:
		return release, nil
	case known && err == guard.ErrBusy && c.untilStuck() <= 0:
		return nil, errHung
	}
	return nil, c.noPlace()
}

// knownWait is the longest wait of a known key for its place, in LoadTimeouts. All
// known keys are loaded after all entries were marked stale, so they wait longer than
// others.
const knownWait = 4

// untilStuck returns how much longer the source may serve nobody before calls of it
// count as hung.
func (c *Cache[V]) untilStuck() time.Duration {
	return c.opts.LoadTimeout - (time.Since(c.start) - time.Duration(c.served.Load()))
}

// noPlace is the error of a load that found no place. It is no overload if the
// places are held by calls that hang.
func (c *Cache[V]) noPlace() error {
	if err := c.outage(); err != nil {
		return err
	}
	return ErrOverloaded
}

var errHung = errors.New("cache: calls of the source do not return")

// outage returns an error while the circuit breaker is open, or half of the places
// are held by calls that have not returned after the LoadTimeout.
func (c *Cache[V]) outage() error {
	switch {
	case !c.breaker.Closed():
		return c.refusal()
	case c.hung.Load() >= maxLoads/2:
		return errHung
	}
	return nil
}

// wait is how long a load of an unknown key waits for its place. A load that takes
// longer has a bounded number of callers.
func (c *Cache[V]) wait() time.Duration { return c.opts.LoadTimeout / 4 }

// ask calls load and records the outcome in the circuit breaker.
func (c *Cache[V]) ask(f *flight[V], trial bool, release func(), load func(context.Context) (Loaded[V], error)) (*entry[V], error) {
	if !trial && !c.breaker.Allow(f.id.key) {
		release()
		return nil, c.refusal()
	}
	defer c.watch()()
	// A value is as old as the beginning of its load. The load does not end with
	// its callers.
	began := time.Now()
	hung := time.AfterFunc(c.opts.LoadTimeout, func() { c.hung.Add(1) })
	found, err := guard.Call(f.ctx, c.opts.LoadTimeout, func() {
		if !hung.Stop() {
			c.hung.Add(-1)
		}
		release()
	}, func(ctx context.Context) (Loaded[V], error) { return c.shared.load(ctx, f.id.key, load) })
	switch {
	case err == ErrOverloaded: // the source was not asked, since it serves others
		c.served.Store(int64(time.Since(c.start)))
		c.breaker.Release()
		return nil, c.noPlace()
	case err == nil && found.kept:
		c.breaker.Release()
	default:
		c.breaker.Record(f.id.key, began, err)
	}
	if err != nil {
		return nil, fmt.Errorf("cache: load: %w", err)
	}
	if !found.kept {
		c.served.Store(int64(time.Since(c.start)))
	}
	return c.newEntry(f.id.key, f.id.epoch, began, found), nil
}

// watch counts a call as slow from shortly before a caller's patience ends until a
// while after it has returned, which is when returned must be called.
func (c *Cache[V]) watch() (returned func()) {
	slow := time.AfterFunc(patience*4/5, func() { c.slow.Add(1) })
	return func() {
		if !slow.Stop() {
			time.AfterFunc(2*patience, func() { c.slow.Add(-1) })
		}
	}
}

// refusal is the error of a load that the circuit breaker does not let begin.
func (c *Cache[V]) refusal() error { return fmt.Errorf("cache: %w", c.breaker.Err()) }

// renew loads an entry again while it can still be served. Nobody waits for it, so
// it has few places. If it finds none or fails, a later caller tries again. In the
// last tenth of the entry's life it has more places, since callers would wait for the
// same load a moment later.
func (c *Cache[V]) renew(ctx context.Context, e *entry[V], load func(context.Context) (Loaded[V], error)) {
	places := c.renewals
	if e.ends-time.Since(c.start) < (e.ends-e.began)/10 {
		places = c.lateRenewals
	}
	if places.Acquire(ctx, c.wait()) != nil {
		return
	}
	defer places.Release()
	if c.closed.Load() || !c.breaker.Ready(e.key) {
		return
	}
	f, leads := c.join(ctx, c.flightID(&e.key))
	if f == nil {
		return
	}
	defer c.leave(f)
	if leads {
		c.fly(f, true, e, load)
	}
}

// fill keeps what was found. What cannot be kept ends at least what was known
// before, which an outage must not bring back.
func (c *Cache[V]) fill(e *entry[V], gen uint64) {
	if !c.keep(e, gen) && (e.absent || c.opts.StaleIfError > 0) && c.lastKnown(&e.key) != nil {
		fence := c.epochOf(&e.key)
		fence.begin()
		fence.end()
	}
}

// keep is false when something was or is being written. A write that begins
// after the check is no harm: e's epoch is then past, and it is never served.
func (c *Cache[V]) keep(e *entry[V], gen uint64) bool {
	fence := c.epochOf(&e.key)
	if !quiet(e.epoch) || fence.Load() != e.epoch {
		return false
	}
	// The group became known only with the value. Its epoch is the one from
	// before the load if the group was not written since.
	var same bool
	if e.groupEpoch, same = c.groups[e.group].since(gen); !same {
		return false
	}
	if e.absent && c.lastKnown(&e.key) != nil {
		return false // an absent entry would not end what is known
	}
	return c.table.put(e, fence) && fence.Load() == e.epoch
}
