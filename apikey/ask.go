package apikey

import (
	"context"
	"errors"
	"fmt"
	"time"

	bound "github.com/keyhatch/keyhatch/internal/guard" // guard is the middleware's handler
)

const (
	// maxCalls bounds the calls at once in each of the Manager's pools, those of the
	// store, of changes and of the second level, those included that were given up
	// but have not returned.
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

// ask calls the store for no longer than LookupTimeout, whether or not the
// store heeds its context. A call that is given up goes on, and takes with it
// what the closure holds: a fence stays up until the write has really ended. A
// panic and an exit are errors, which count as outages.
func ask[T any](ctx context.Context, m *Manager, call func(context.Context) (T, error)) (T, error) {
	return askFor(ctx, m.calls, m.opts.LookupTimeout, call)
}

// askFor is ask with a timeout and with places of its own. The timeout counts
// from when the call has its place; it waits for one no longer than that.
func askFor[T any](ctx context.Context, places *places, timeout time.Duration, call func(context.Context) (T, error)) (T, error) {
	if err := places.Acquire(ctx, timeout); err != nil {
		var none T
		return none, fmt.Errorf("overloaded, the call was not made: %w", err)
	}
	return bound.Call(ctx, timeout, places.Release, call)
}
