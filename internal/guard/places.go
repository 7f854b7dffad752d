package guard

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"
)

// ErrBusy is returned by [Places.Acquire] if no place became free.
var ErrBusy = errors.New("all places are taken")

// Places bounds how many calls run at once, and how many wait in the queue. All
// methods may be called from many goroutines.
type Places struct {
	free    *semaphore.Weighted
	queue   int64
	waiting atomic.Int64
}

// NewPlaces returns the given number of places, with a queue of the given length.
func NewPlaces(places, queue int) *Places {
	return &Places{free: semaphore.NewWeighted(int64(places)), queue: int64(queue)}
}

// Acquire takes a place; the caller must call Release. If no place is free, Acquire
// waits in the queue for at most wait. It returns [ErrBusy] if no place became free
// in time, or at once if the queue is full. If ctx ends first, it returns ctx's
// error.
func (p *Places) Acquire(ctx context.Context, wait time.Duration) error {
	if p.free.TryAcquire(1) {
		return nil
	}
	defer p.waiting.Add(-1)
	if p.waiting.Add(1) > p.queue {
		return ErrBusy
	}
	waiting, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	return p.acquire(ctx, waiting)
}

// AcquireWhile is like Acquire without a bound on the queue. At the end of each wait,
// it calls more, and waits again if more returns another wait.
func (p *Places) AcquireWhile(ctx context.Context, wait time.Duration, more func() time.Duration) error {
	if p.free.TryAcquire(1) {
		return nil
	}
	waiting, cancel := context.WithCancel(ctx)
	defer cancel()
	var next func()
	next = func() {
		if wait := more(); wait <= 0 {
			cancel()
		} else if waiting.Err() == nil {
			time.AfterFunc(wait, next)
		}
	}
	defer time.AfterFunc(wait, next).Stop()
	return p.acquire(ctx, waiting)
}

// acquire waits for a place until the context waiting is done.
func (p *Places) acquire(ctx, waiting context.Context) error {
	if p.free.Acquire(waiting, 1) == nil {
		return nil
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return ErrBusy
}

// Release returns a place.
func (p *Places) Release() { p.free.Release(1) }
