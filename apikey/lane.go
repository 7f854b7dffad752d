package apikey

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	bound "github.com/keyhatch/keyhatch/internal/guard"
)

// Bounds of the management calls that run at once in a Manager. Reads and writes of all
// owners together leave two connections of a pool of ten to look-ups and revocations,
// however slow the store is. Revocations have more, so that owners who list or create
// do not delay them, but still fewer than look-ups.
const (
	ownerCalls   = 2   // calls of one owner that run in a lane
	ownerWaiting = 128 // calls of one owner that wait in a lane with a queue
	maxReads     = 4   // calls of all owners together
	maxWrites    = 4   // calls of all owners together, except revocations
	maxRevokes   = 12
)

// A lane bounds the management calls of one kind, for each owner and in all. A call
// takes one of the owner's turns before it takes one of the lane's places. So an
// owner has at most ownerCalls of the places, however many callers there are.
type lane struct {
	places *places
	size   int64        // number of places
	hung   atomic.Int64 // places held by calls of the store that have outlasted their time
	queue  int          // calls of one owner that may wait

	mu     sync.Mutex
	owners map[string]*ownerLane // owners with calls in the lane
}

// An ownerLane is one owner's part of a lane.
type ownerLane struct {
	turns *places
	calls int // calls that have a turn or wait for one
}

func newLane(places, queue int) *lane {
	return &lane{places: bound.NewPlaces(places, maxWaiting), size: int64(places), queue: queue, owners: map[string]*ownerLane{}}
}

// A turn is one owner's permission to run a management call. It ends when the
// management call has called leave, and each call of the store that it made has
// returned.
type turn struct {
	lane    *lane
	owner   string
	timeout time.Duration // for a call of the store
	holders int
}

// enter waits for one of the owner's turns, for at most the timeout of a call of the
// store. It returns [ErrLimited] if no turn became free in time, or at once if the
// queue is full.
func (l *lane) enter(ctx context.Context, owner string, timeout time.Duration) (*turn, error) {
	l.mu.Lock()
	o := l.owners[owner]
	if o == nil {
		o = &ownerLane{turns: bound.NewPlaces(ownerCalls, l.queue)}
		l.owners[owner] = o
	}
	o.calls++
	l.mu.Unlock()
	if err := o.turns.Acquire(ctx, timeout); err != nil {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.drop(owner)
		if errors.Is(err, bound.ErrBusy) {
			return nil, fmt.Errorf("%w: %d calls of this kind are running for the owner", ErrLimited, ownerCalls)
		}
		return nil, fmt.Errorf("%w: wait for the owner's other calls: %w", ErrUnavailable, err)
	}
	return &turn{lane: l, owner: owner, timeout: timeout, holders: 1}, nil
}

// drop ends one of the owner's calls. It removes an owner without calls, so that the
// map stays small. The caller must hold l.mu.
func (l *lane) drop(owner string) {
	o := l.owners[owner]
	if o.calls--; o.calls == 0 {
		delete(l.owners, owner)
	}
}

func (t *turn) hold() {
	t.lane.mu.Lock()
	defer t.lane.mu.Unlock()
	t.holders++
}

func (t *turn) leave() {
	t.lane.mu.Lock()
	defer t.lane.mu.Unlock()
	if t.holders--; t.holders == 0 {
		t.lane.owners[t.owner].turns.Release()
		t.lane.drop(t.owner)
	}
}

var errHung = fmt.Errorf("calls of the store do not return: %w", context.DeadlineExceeded)

// take takes one of the lane's places. The caller must call release, once or more. If
// half of the places are held by calls that hang, a lack of places is an outage.
func (t *turn) take(ctx context.Context, wait time.Duration) (release func(), err error) {
	l := t.lane
	if err := acquire(ctx, l.places, wait); err != nil {
		if err == errOverloaded && l.hung.Load() >= l.size/2 {
			err = errHung
		}
		return nil, err
	}
	// A call that has waited as long as this one has run must find it counted.
	hung := time.AfterFunc(t.timeout-t.timeout/100, func() { l.hung.Add(1) })
	return sync.OnceFunc(func() {
		if !hung.Stop() {
			l.hung.Add(-1)
		}
		l.places.Release()
	}), nil
}

// askInTurn calls the store as [ask] does, but the call holds the turn until it
// returns, even if askInTurn no longer waits for it.
func askInTurn[T any](ctx context.Context, t *turn, timeout time.Duration, call func(context.Context) (T, error)) (T, error) {
	return askAndTell(ctx, t, timeout, func(ctx context.Context, _ func()) (T, error) {
		value, err := call(ctx)
		return value, storeError(err)
	})
}

// askAndTell is askInTurn for a call that goes on after the store has returned. It calls
// stored then, so that it holds none of the lane's places while it tells others. The
// call classifies the store's errors itself, as [bounded] does.
//
// A canceled ctx does not cancel the call. A driver would close its connection then,
// so clients that hang up could use up the pool. The call has its own timeout. It is
// a little shorter than that of askAndTell, so that the store can still return
// [store.ErrBusy].
func askAndTell[T any](ctx context.Context, t *turn, timeout time.Duration, call func(ctx context.Context, stored func()) (T, error)) (T, error) {
	release, err := t.take(ctx, timeout)
	if err != nil {
		return *new(T), err
	}
	t.hold()
	return bound.Call(ctx, timeout, func() {
		release()
		t.leave()
	}, func(context.Context) (T, error) {
		if err := ctx.Err(); err != nil {
			return *new(T), err
		}
		own, cancel := context.WithTimeout(context.WithoutCancel(ctx), timeout-timeout/50)
		defer cancel()
		return call(own, release)
	})
}
