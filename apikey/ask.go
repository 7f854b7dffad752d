package apikey

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// maxCalls bounds the calls at once in each of the Manager's pools, those of the
// store, of changes and of the second level, those included that were given up
// but have not returned.
const maxCalls = 64

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

// askFor is ask with a time and with places of its own, which bound the calls at
// once.
func askFor[T any](ctx context.Context, places chan struct{}, wait time.Duration, call func(context.Context) (T, error)) (T, error) {
	type answer struct {
		value T
		err   error
	}
	var none T
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	select {
	case places <- struct{}{}:
	case <-ctx.Done():
		return none, fmt.Errorf("waiting for one of %d calls to end: %w", cap(places), ctx.Err())
	}
	done := make(chan answer, 1)
	go func() {
		a := answer{err: errExited}
		defer func() {
			if p := recover(); p != nil {
				a = answer{err: fmt.Errorf("panic: %v", p)}
			}
			<-places
			done <- a
		}()
		value, err := call(ctx)
		_ = errors.Is(err, errNobody) // an error that panics when it is looked into does so here
		a = answer{value, err}
	}()
	select {
	case a := <-done:
		return a.value, a.err
	case <-ctx.Done():
		return none, ctx.Err()
	}
}
