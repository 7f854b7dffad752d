package apikey

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/keyhatch/keyhatch/internal/guard"
)

// Bounds of the management calls that run at once in a Manager. Reads and writes of all
// owners together leave two connections of a pool of ten to look-ups and revocations,
// however slow the store is. Revocations have more places than reads and writes, so that owners
// who list or create do not delay revocations. They have fewer places than look-ups.
const (
	ownerCalls   = 2   // calls of one owner that run in a lane
	ownerWaiting = 128 // calls of one owner that wait in a lane with a queue
	maxReads     = 4   // calls of all owners together
	maxWrites    = 4   // calls of all owners together, except revocations
	maxRevokes   = 12
)

// A lane bounds the management calls of one kind, for each owner and for all owners
// together. A call takes one of the owner's permits before it takes one of the lane's
// places. So an owner has at most ownerCalls of the places, however many callers there
// are.
type lane struct {
	places *guard.Places
	size   int64        // number of places
	hung   atomic.Int64 // places held by store calls that have exceeded their timeout
	queue  int          // calls of one owner that may wait

	mu     sync.Mutex
	owners map[string]*ownerLane // owners with calls in the lane
}

// An ownerLane is one owner's part of a lane.
type ownerLane struct {
	permits *guard.Places
	calls   int // calls that have a permit or wait for one
}

func newLane(places, queue int) *lane {
	return &lane{places: guard.NewPlaces(places, maxWaiting), size: int64(places), queue: queue, owners: map[string]*ownerLane{}}
}

// A permit lets one management call of an owner run. A permit ends once it is released and
// all its store calls have returned.
type permit struct {
	lane    *lane
	owner   string
	timeout time.Duration // for a store call
	holders int
}

// admit waits for one of the owner's permits, for at most the timeout of a store call. It
// returns [ErrLimited] if no permit became free in time, or at once if the queue is full.
func (l *lane) admit(ctx context.Context, owner string, timeout time.Duration) (*permit, error) {
	l.mu.Lock()
	o := l.owners[owner]
	if o == nil {
		o = &ownerLane{permits: guard.NewPlaces(ownerCalls, l.queue)}
		l.owners[owner] = o
	}
	o.calls++
	l.mu.Unlock()
	if err := o.permits.Acquire(ctx, timeout); err != nil {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.drop(owner)
		if errors.Is(err, guard.ErrBusy) {
			return nil, fmt.Errorf("%w: %d calls of this kind are running for the owner", ErrLimited, ownerCalls)
		}
		return nil, fmt.Errorf("%w: wait for the owner's other calls: %w", ErrUnavailable, err)
	}
	return &permit{lane: l, owner: owner, timeout: timeout, holders: 1}, nil
}

// drop ends one of the owner's calls. It removes an owner without calls, so that the
// map stays small. The caller must hold l.mu.
func (l *lane) drop(owner string) {
	o := l.owners[owner]
	if o.calls--; o.calls == 0 {
		delete(l.owners, owner)
	}
}

func (p *permit) retain() {
	p.lane.mu.Lock()
	defer p.lane.mu.Unlock()
	p.holders++
}

func (p *permit) release() {
	p.lane.mu.Lock()
	defer p.lane.mu.Unlock()
	if p.holders--; p.holders == 0 {
		p.lane.owners[p.owner].permits.Release()
		p.lane.drop(p.owner)
	}
}

var errHung = fmt.Errorf("store calls do not return: %w", context.DeadlineExceeded)

// takePlace takes one of the lane's places. The caller must call release, once or more. If
// no place is free and calls that hang hold half of them, takePlace returns an outage
// error.
func (p *permit) takePlace(ctx context.Context, wait time.Duration) (release func(), err error) {
	l := p.lane
	if err := acquire(ctx, l.places, wait); err != nil {
		if err == errOverloaded && l.hung.Load() >= l.size/2 {
			err = errHung
		}
		return nil, err
	}
	// Count this call as hung shortly before its timeout. So another call whose wait ends at that
	// timeout finds it counted.
	hung := time.AfterFunc(p.timeout-p.timeout/100, func() { l.hung.Add(1) })
	return sync.OnceFunc(func() {
		if !hung.Stop() {
			l.hung.Add(-1)
		}
		l.places.Release()
	}), nil
}

// callPermitted calls the store as [callStore] does, but in one of the lane's places. The
// call holds the permit until it returns, even if callPermitted no longer waits for it.
func callPermitted[T any](ctx context.Context, p *permit, timeout time.Duration, call func(context.Context) (T, error)) (T, error) {
	return runPermitted(ctx, p, timeout, func(ctx context.Context, _ func()) (T, error) {
		value, err := call(ctx)
		return value, storeError(err)
	})
}

// runPermitted is like callPermitted, for a call that continues after the store has returned,
// for example to notify other instances. The call must call stored when the store has
// returned, to release its place. It must classify the store's errors itself, as [bounded]
// does.
//
// Canceling ctx does not cancel the call: a driver would close its connection then, so
// clients that hang up could use up the pool. The call has its own timeout, which is a
// little shorter than that of runPermitted, so that the store can still return
// [store.ErrBusy].
func runPermitted[T any](ctx context.Context, p *permit, timeout time.Duration, call func(ctx context.Context, stored func()) (T, error)) (T, error) {
	release, err := p.takePlace(ctx, timeout)
	if err != nil {
		return *new(T), err
	}
	p.retain()
	return guard.Call(ctx, timeout, func() {
		release()
		p.release()
	}, func(context.Context) (T, error) {
		if err := ctx.Err(); err != nil {
			return *new(T), err
		}
		own, cancel := context.WithTimeout(context.WithoutCancel(ctx), timeout-timeout/50)
		defer cancel()
		return call(own, release)
	})
}
