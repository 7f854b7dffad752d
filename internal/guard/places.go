package guard

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"
)

// ErrBusy is returned by [Places.Acquire] when there is no place.
var ErrBusy = errors.New("all places are taken")

// Places bounds the calls under way at once, and how many wait for their turn.
type Places struct {
	free    *semaphore.Weighted
	queue   int64
	waiting atomic.Int64
}

// NewPlaces returns that many places with a queue of that length.
func NewPlaces(places, queue int) *Places {
	return &Places{free: semaphore.NewWeighted(int64(places)), queue: int64(queue)}
}

// Acquire takes a place, which Release gives back. If none is free it waits in
// the queue, for no longer than wait. It returns [ErrBusy], at once if the queue is full,
// or ctx's error.
func (p *Places) Acquire(ctx context.Context, wait time.Duration) error {
	if p.free.TryAcquire(1) {
		return nil
	}
	defer p.waiting.Add(-1)
	if p.waiting.Add(1) > p.queue {
		return ErrBusy
	}
	patient, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	if p.free.Acquire(patient, 1) == nil {
		return nil
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return ErrBusy
}

// Release gives a place back.
func (p *Places) Release() { p.free.Release(1) }
