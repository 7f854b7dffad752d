package apikey

import (
	"context"
	"errors"
	"time"

	"github.com/keyhatch/keyhatch/cache"
	bound "github.com/keyhatch/keyhatch/internal/guard" // guard is the middleware's handler
	"github.com/keyhatch/keyhatch/store"
)

const (
	// maxCalls bounds the calls at once of each kind: reads and revocations, last-used
	// times, and calls of the second level. A call that was given up counts until it
	// has returned.
	maxCalls = 64

	// maxWaiting bounds the calls that wait for one of these places.
	maxWaiting = 1024
)

// places bound the calls at once.
type places = bound.Places

func newPlaces() *places { return bound.NewPlaces(maxCalls, maxWaiting) }

// errNobody is an error that nobody returns.
var errNobody = errors.New("nobody's error")

var errExited = errors.New("the call exited")

var errOverloaded = errors.New("overloaded, the call was not made")

// ask calls the store for no longer than CallTimeout, whether or not the
// store heeds its context. A call that is given up goes on, and takes with it
// what the closure holds: a fence stays up until the write has really ended. A
// panic and an exit are errors, which count as outages.
func ask[T any](ctx context.Context, m *Manager, call func(context.Context) (T, error)) (T, error) {
	return askFor(ctx, m.calls, m.opts.CallTimeout, func() {}, call)
}

// askFor is ask with a timeout and with places of its own. The timeout counts
// from when the call has its place; it waits for one no longer than that.
// returned is called when the call has returned, or was not made.
func askFor[T any](ctx context.Context, places *places, timeout time.Duration, returned func(), call func(context.Context) (T, error)) (T, error) {
	if err := places.Acquire(ctx, timeout); err != nil {
		returned()
		if err == bound.ErrBusy {
			err = errOverloaded
		}
		return *new(T), err
	}
	return bound.Call(ctx, timeout, func() {
		places.Release()
		returned()
	}, call)
}

// overloaded reports whether err says that a call was not made because too many
// others were under way, which is no outage of the store or the provider.
func overloaded(err error) bool {
	return errors.Is(err, errOverloaded) || err == cache.ErrOverloaded || errors.Is(err, store.ErrBusy)
}
