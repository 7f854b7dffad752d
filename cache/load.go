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
	// Value is nil only if Absent is set. The cache copies what it points to.
	Value *V

	// Absent means that there is no value. The cache keeps this fact for
	// [Options.NegativeTTL]. Until and Tag are ignored.
	Absent bool

	// Ended means that the value need not be renewed, for example because it says that an
	// API key is revoked. The key then counts as unknown: it shares the places of keys
	// without a value, and is not reloaded before the value expires.
	Ended bool

	// Until, if set, is the time at which the value ends. After that, the value is
	// not even served stale.
	Until time.Time

	// Age is the age of the value if it was not read just now. It shortens the lifetime of the
	// value. A negative age counts as zero.
	Age time.Duration

	// Tag, if set, is a name that the value shares with others, so that [Cache.Change] can
	// invalidate all values with the tag without their keys.
	Tag Key

	// Encode, if set, returns the value in the form for the shared cache; see
	// [Cache.Share].
	Encode func() ([]byte, error)

	fromShared bool // it came from the shared cache, so it does not count as a success of the source
}

// Load returns the cached value, or calls load and keeps the result unless the key
// was written meanwhile. Concurrent loads of a key are merged, except that a caller
// never joins a load that may have read its source before the latest write.
//
// A value in use is reloaded before it expires: in the last fifth of its lifetime, Load
// returns it and reloads it in the background.
//
// If load did not call its source, it must return ErrOverloaded unwrapped. That does
// not count as a failure.
//
// load gets the values of ctx. The end of ctx ends the caller's wait, but not the
// load, which is bounded by [Options.LoadTimeout]. At most 48 loads of known keys run at once,
// and 16 loads of unknown keys, which have no usable cached value. Loads of unknown keys wait for
// up to a quarter of the LoadTimeout, in a queue of 1,024. Loads of known keys wait for up to
// four LoadTimeouts, but no longer than one LoadTimeout in which the source serves no call. A
// load is dropped if no caller is left. A caller that arrives during a write may wait for two
// loads.
//
// Load returns [ErrNotFound] if there is no value. It returns [ErrOverloaded] if it
// did not call load because too many others were running, or if 1,024 callers wait
// for the same load and that load has taken more than a quarter of the LoadTimeout.
// Both errors are returned unwrapped. If load fails or panics, or has failed so
// often that the circuit breaker is open, Load returns the previous value if it is
// younger than [Options.StaleIfError], and otherwise another error. It also returns
// such a previous value if a load takes longer than 50 ms.
func (c *Cache[V]) Load(ctx context.Context, key Key, load func(context.Context) (Loaded[V], error)) (*V, error) {
	now := c.now()
	if e := c.find(&key, now); e != nil {
		if c.claimRenewal(e, now) {
			go c.renew(context.WithoutCancel(ctx), e, load)
		}
		return e.answer()
	}
	v, early, err := c.loadOnce(ctx, &key, load)
	if early {
		// The next flight began after this one had ended.
		v, _, err = c.loadOnce(ctx, &key, load)
	}
	return v, err
}

// loadOnce starts a flight, or waits for the current one. early reports whether the flight may
// have read the source before a change that the caller may know. The change may be a write that
// is still running, or a write by another instance while this process was stopped.
func (c *Cache[V]) loadOnce(ctx context.Context, key *Key, load func(context.Context) (Loaded[V], error)) (v *V, early bool, err error) {
	if ctx.Err() != nil {
		return nil, false, waitError(ctx)
	}
	known := c.latest(key)
	if known != nil && c.isPostponed(known, c.now()) {
		return &known.value, false, nil
	}
	if !c.breaker.Ready(*key) {
		v, err = c.stale(key, c.refusal())
		return v, false, err
	}
	// Check the lease now: if it ends during a flight, it may have been extended again
	// when the flight lands.
	leased, fenced, id := c.holdsLease(), c.fenced.Load(), c.flightID(key)
	f, leads := c.join(ctx, id)
	if f == nil {
		return nil, false, ErrOverloaded
	}
	defer c.leave(f)
	if leads {
		go c.run(f, known != nil && !known.ended, nil, load)
	}
	late, err := c.await(ctx, f, known)
	switch {
	case err != nil:
		return nil, false, err
	case late:
		return &known.value, false, nil
	case f.err == ErrOverloaded:
		return nil, false, f.err // no stale value: the source was not called
	case f.err != nil:
		v, err = c.stale(key, f.err)
		return v, false, err
	}
	_, same := c.tags[f.entry.tag].since(id.gen)
	v, err = f.entry.answer()
	unwritten := quiet(id.epoch) || fenced && id.epoch&writers == oneWriter // the write in progress may be that of Close
	return v, !leads && !(leased && unwritten && same), err
}

// flightID reads the epochs. It must be called before the load begins.
func (c *Cache[V]) flightID(key *Key) flightID {
	return flightID{*key, c.epochOf(key).Load(), c.gen.Load()}
}

func waitError(ctx context.Context) error {
	return fmt.Errorf("cache: waiting for a load: %w", ctx.Err())
}

// await waits until a flight lands or the caller's context ends. The end of the context
// says nothing about the source, so it does not allow a stale value. late is true if the flight
// takes long, the source is slow, and the known value may be served. A flight that waits for its
// place does not make the source count as slow.
func (c *Cache[V]) await(ctx context.Context, f *flight[V], known *entry[V]) (late bool, err error) {
	var patient <-chan time.Time // nil if no stale value may be served
	if known != nil && c.opts.StaleIfError > 0 {
		patient = time.After(patience - time.Since(f.began))
	}
	for {
		select {
		case <-f.landed:
			return false, nil
		case <-ctx.Done():
			return false, waitError(ctx)
		case <-patient:
			switch {
			case !c.mayBeStaleWithoutFailure(known, c.now()):
				patient = nil
			case c.slow.Load() > 0 || c.outage() != nil:
				return true, nil
			default:
				patient = time.After(patience / 5)
			}
		}
	}
}

// run runs the load that the callers share. renewed is nil, or an entry to renew that may
// still be served.
func (c *Cache[V]) run(f *flight[V], known bool, renewed *entry[V], load func(context.Context) (Loaded[V], error)) {
	key := &f.id.key
	// Another flight may have landed since the caller looked for the entry.
	e := c.find(key, c.now())
	if e != nil && (renewed == nil || e.began > renewed.began) {
		c.land(f, e, nil)
		return
	}
	// Claim the trial before waiting for a place: calls that hang may hold all places
	// forever.
	allowed, trial := c.breaker.Allow(*key)
	if !allowed {
		c.land(f, nil, c.refusal())
		return
	}
	release, err := c.acquire(f, known)
	if err == nil && !c.takeOff(f) {
		release()
		err = ErrOverloaded // no caller is left to get it
	}
	if err != nil {
		if trial {
			c.breaker.Release()
		}
		c.land(f, nil, err)
		return
	}
	e, err = c.ask(f, trial, release, load)
	if err == nil {
		c.fill(e, f.id.gen)
	}
	c.land(f, e, err)
}

// acquire takes a place for a load. Known and unknown keys have separate places, so that
// neither waits for the other.
func (c *Cache[V]) acquire(f *flight[V], known bool) (release func(), err error) {
	release = c.unknown.Release
	if known {
		release = c.known.Release
		ends := time.Now().Add(knownWait * c.opts.LoadTimeout)
		err = c.known.AcquireWhile(f.ctx, c.opts.LoadTimeout, func() time.Duration { return min(c.untilStuck(), time.Until(ends)) })
	} else {
		err = c.unknown.Acquire(f.ctx, c.wait())
	}
	switch {
	case err == nil:
		return release, nil
	case known && err == guard.ErrBusy && c.untilStuck() <= 0:
		return nil, errHung
	}
	return nil, c.noPlace()
}

// knownWait is the maximum wait of a known key for its place, in LoadTimeouts. After all
// entries were marked stale, all known keys are loaded, so they wait longer than others.
const knownWait = 4

// untilStuck returns the time after which calls to the source count as hung, if it serves
// none until then.
func (c *Cache[V]) untilStuck() time.Duration {
	return c.opts.LoadTimeout - (time.Since(c.start) - time.Duration(c.served.Load()))
}

// noPlace returns the error of a load that got no place. It is not ErrOverloaded if calls
// that hang hold the places.
func (c *Cache[V]) noPlace() error {
	if err := c.outage(); err != nil {
		return err
	}
	return ErrOverloaded
}

var errHung = errors.New("cache: calls to the source do not return")

var errNoValue = errors.New("the load function returned neither a value nor Absent")

// outage returns an error if the circuit breaker is open, or if calls that have not
// returned after the LoadTimeout hold half of the places.
func (c *Cache[V]) outage() error {
	switch {
	case !c.breaker.Closed():
		return c.refusal()
	case c.hung.Load() >= maxLoads/2:
		return errHung
	}
	return nil
}

// wait returns the maximum wait of an unknown key for its place. A load that takes longer
// than that has a bounded number of callers.
func (c *Cache[V]) wait() time.Duration { return c.opts.LoadTimeout / 4 }

// ask calls load and records the outcome in the circuit breaker.
func (c *Cache[V]) ask(f *flight[V], trial bool, release func(), load func(context.Context) (Loaded[V], error)) (*entry[V], error) {
	if !trial { // the breaker may have opened meanwhile
		var allowed bool
		if allowed, trial = c.breaker.Allow(f.id.key); !allowed {
			release()
			return nil, c.refusal()
		}
	}
	defer c.watch()()
	// The age of a value counts from the beginning of its load. The load continues when
	// its callers leave.
	began := time.Now()
	hung := time.AfterFunc(c.opts.LoadTimeout, func() { c.hung.Add(1) })
	found, err := guard.Call(f.ctx, c.opts.LoadTimeout, func() {
		if !hung.Stop() {
			c.hung.Add(-1)
		}
		release()
	}, func(ctx context.Context) (Loaded[V], error) {
		found, err := c.shared.load(ctx, f.id.key, load)
		if err == nil && found.Value == nil && !found.Absent {
			err = errNoValue
		}
		return found, err
	})
	switch {
	case err == ErrOverloaded: // the source was not called, because it is serving other calls
		c.served.Store(int64(time.Since(c.start)))
		if trial {
			c.breaker.Release()
		}
		return nil, c.noPlace()
	case err != nil || !found.fromShared:
		c.breaker.Record(f.id.key, began, err)
	case trial:
		c.breaker.Release()
	}
	if err != nil {
		return nil, fmt.Errorf("cache: load: %w", err)
	}
	if !found.fromShared {
		c.served.Store(int64(time.Since(c.start)))
	}
	return c.newEntry(f.id.key, f.id.epoch, began, found), nil
}

// watch counts a load as slow if it takes longer than 4/5 of patience. The load then counts
// as slow until 2*patience after it has returned. The caller must call returned when the
// load returns.
func (c *Cache[V]) watch() (returned func()) {
	slow := time.AfterFunc(patience*4/5, func() { c.slow.Add(1) })
	return func() {
		if !slow.Stop() {
			time.AfterFunc(2*patience, func() { c.slow.Add(-1) })
		}
	}
}

// refusal returns the error of a load that the circuit breaker refuses.
func (c *Cache[V]) refusal() error { return fmt.Errorf("cache: %w", c.breaker.Err()) }

// renew reloads an entry while it may still be served. No caller waits for it, so renewals
// have few places. If a renewal gets none or fails, a later caller tries again. In the
// last tenth of the entry's lifetime there are more places, since callers would soon wait
// for the same load.
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
		c.run(f, true, e, load)
	}
}

// fill keeps an entry. If it cannot be kept, fill at least removes the previous entry,
// which must not be served again in an outage.
func (c *Cache[V]) fill(e *entry[V], gen uint64) {
	if !c.keep(e, gen) && c.opts.StaleIfError > 0 && c.lastKnown(&e.key) != nil {
		fence := c.epochOf(&e.key)
		fence.begin()
		fence.end()
	}
}

// keep keeps an entry. It returns false if the key or its tag was written since the load
// began, or is being written. A write that begins after the check does no harm: the epoch
// has then changed, and the entry is never served.
func (c *Cache[V]) keep(e *entry[V], gen uint64) bool {
	fence := c.epochOf(&e.key)
	if !quiet(e.epoch) || fence.Load() != e.epoch {
		return false
	}
	// The tag is known only since the load has returned. If the tag was not written since the
	// load began, its epoch is still the one from before the load.
	var same bool
	if e.tagEpoch, same = c.tags[e.tag].since(gen); !same {
		return false
	}
	return c.table.put(e) && fence.Load() == e.epoch
}
