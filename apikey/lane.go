package apikey

import (
	"context"
	"errors"
	"fmt"
	"sync"
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
	queue  int // calls of one owner that may wait

	mu     sync.Mutex
	owners map[string]*ownerLane // owners with calls in the lane
}

// An ownerLane is one owner's part of a lane.
type ownerLane struct {
	turns *places
	calls int // calls that have a turn or wait for one
}

func newLane(places, queue int) *lane {
	return &lane{places: bound.NewPlaces(places, maxWaiting), queue: queue, owners: map[string]*ownerLane{}}
}

// A turn is one owner's permission to run a management call. It ends when the
// management call has called leave, and each call of the store that it made has
// returned.
type turn struct {
	lane    *lane
	owner   string
	holders int
}

// enter waits for one of the owner's turns, for at most wait. It returns [ErrLimited]
// if no turn became free in time, or at once if the queue is full.
func (l *lane) enter(ctx context.Context, owner string, wait time.Duration) (*turn, error) {
	l.mu.Lock()
	o := l.owners[owner]
	if o == nil {
		o = &ownerLane{turns: bound.NewPlaces(ownerCalls, l.queue)}
		l.owners[owner] = o
	}
	o.calls++
	l.mu.Unlock()
	if err := o.turns.Acquire(ctx, wait); err != nil {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.drop(owner)
		if errors.Is(err, bound.ErrBusy) {
			return nil, fmt.Errorf("%w: %d calls of this kind are running for the owner", ErrLimited, ownerCalls)
		}
		return nil, fmt.Errorf("%w: wait for the owner's other calls: %w", ErrUnavailable, err)
	}
	return &turn{lane: l, owner: owner, holders: 1}, nil
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

// askInTurn calls the store as [ask] does, but the call holds the turn until it
// returns, even if askInTurn no longer waits for it.
//
// A canceled ctx does not cancel the call. A driver would close its connection then,
// so clients that hang up could use up the pool. The call has its own timeout. It is
// a little shorter than that of askInTurn, so that the store can still return
// [store.ErrBusy].
func askInTurn[T any](ctx context.Context, t *turn, timeout time.Duration, call func(context.Context) (T, error)) (T, error) {
	t.hold()
	return askFor(ctx, t.lane.places, timeout, t.leave, func(context.Context) (T, error) {
		if err := ctx.Err(); err != nil {
			return *new(T), err
		}
		own, cancel := context.WithTimeout(context.WithoutCancel(ctx), timeout-timeout/50)
		defer cancel()
		return call(own)
	})
}
