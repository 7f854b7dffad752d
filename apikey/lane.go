package apikey

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	bound "github.com/keyhatch/keyhatch/internal/guard"
)

// How many management calls are under way at once in a Manager. Reads and writes of
// all owners together leave two connections of a pool of ten to look-ups and
// revocations, however slow the store is. Revocations have more, so that owners who
// list or create do not delay them, and still fewer than look-ups.
const (
	ownerCalls   = 2   // in each lane for one owner
	ownerWaiting = 128 // calls of one owner that wait for these, in the lanes that queue
	maxReads     = 4   // for all owners together
	maxWrites    = 4   // other than revocations
	maxRevokes   = 12
)

// A lane bounds the management calls of one kind, for each owner and in all. A call
// has its turn among the owner's before it takes a place among all, so that one
// owner has at most ownerCalls of the places, however many callers there are.
type lane struct {
	places *places
	queue  int // calls of one owner that may wait

	mu     sync.Mutex
	owners map[string]*ownerLane // those with calls in the lane
}

// An ownerLane is the part of a lane that one owner has.
type ownerLane struct {
	turns *places
	calls int // that have a turn or wait for one
}

func newLane(places, queue int) *lane {
	return &lane{places: bound.NewPlaces(places, maxWaiting), queue: queue, owners: map[string]*ownerLane{}}
}

// A turn is held by a management call until leave is called, and by each call of the
// store that it makes until that has returned.
type turn struct {
	lane    *lane
	owner   string
	holders int
}

// enter waits for the owner's turn, for no longer than wait. It returns
// [ErrLimited], at once if the queue is full.
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
			return nil, fmt.Errorf("%w: the owner has %d calls of this kind under way", ErrLimited, ownerCalls)
		}
		return nil, fmt.Errorf("%w: waiting for the owner's other calls: %w", ErrUnavailable, err)
	}
	return &turn{lane: l, owner: owner, holders: 1}, nil
}

// drop forgets an owner with the last call. The lane must be locked.
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

// askInTurn calls the store like [ask], within the owner's turn and with a timeout
// of its own. A call that is given up keeps the turn until it returns. It does not
// end with ctx, since a driver then closes its connection: callers that hang up, as
// often as they like, would cost others theirs. It ends shortly before the call is
// given up, so that the store can still say that it was busy.
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
