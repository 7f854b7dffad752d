package apikey

import (
	"context"
	"errors"
	"time"

	"github.com/keyhatch/keyhatch/cache"
	"github.com/keyhatch/keyhatch/internal/guard"
	"github.com/keyhatch/keyhatch/store"
)

const (
	// maxCalls bounds the concurrent calls of each kind outside of the lanes: store
	// calls, and calls to the shared cache. A call counts until it has returned, even if its
	// caller no longer waits.
	maxCalls = 64

	// maxWaiting bounds the calls that wait for one of these places.
	maxWaiting = 1024
)

// newPlaces returns the places of one kind of calls.
func newPlaces() *guard.Places { return guard.NewPlaces(maxCalls, maxWaiting) }

var errOverloaded = errors.New("overloaded, the call was not made")

// callStore calls the store and waits for it no longer than CallTimeout, even if the
// store ignores its context. A call that takes longer keeps running, so a fence that it
// holds stays up until the write has really ended. A call that panics or ends its
// goroutine returns an outage error.
func callStore[T any](ctx context.Context, m *Manager, call func(context.Context) (T, error)) (T, error) {
	return callBounded(ctx, m.calls, m.opts.CallTimeout, call)
}

// callBounded is like callStore, but uses the given timeout and places. The timeout starts when the
// call has its place. Before that, the call waits for a place for at most the same time.
func callBounded[T any](ctx context.Context, places *guard.Places, timeout time.Duration, call func(context.Context) (T, error)) (T, error) {
	if err := acquire(ctx, places, timeout); err != nil {
		return *new(T), err
	}
	return guard.Call(ctx, timeout, places.Release, func(ctx context.Context) (T, error) {
		value, err := call(ctx)
		return value, storeError(err)
	})
}

// acquire takes one of the places.
func acquire(ctx context.Context, places *guard.Places, wait time.Duration) error {
	err := places.Acquire(ctx, wait)
	if err == guard.ErrBusy {
		err = errOverloaded
	}
	return err
}

// sharedTime bounds each call of [Options.SharedCache], which should bound itself to
// less. It is also no more than a quarter of CallTimeout.
const sharedTime = 500 * time.Millisecond

// callShared calls the shared cache. It returns in time even if the call hangs or panics.
func callShared[T any](ctx context.Context, m *Manager, call func(context.Context) (T, error)) (T, error) {
	return callBounded(ctx, m.sharedCalls, min(sharedTime, m.opts.CallTimeout/4), call)
}

// storeError classifies an error of the store or the shared cache, once, within the
// guarded call. Any other error counts as an outage.
func storeError(err error) error {
	return guard.Classify(err, store.ErrOwnerMismatch, store.ErrNotFound, store.ErrLimit, store.ErrDuplicate, store.ErrConflict,
		store.ErrBusy, cache.ErrMiss, errors.ErrUnsupported)
}

// overloaded reports whether err says that a call was refused because too many others
// were running. That does not count as an outage of the store or the provider.
func overloaded(err error) bool {
	return errors.Is(err, errOverloaded) || err == cache.ErrOverloaded || errors.Is(err, store.ErrBusy)
}
