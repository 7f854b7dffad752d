// Package guard bounds calls of stores, providers and servers that may be slow,
// fail, hang or panic.
package guard

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// errExited is the error of a call that has ended its goroutine.
var errExited = errors.New("the call exited")

// errOther is an error that nothing returns.
var errOther = errors.New("guard: other")

// Call returns what call returns, whether or not call heeds its context, which
// ends after the timeout. A call that is given up goes on in its goroutine; done
// is called when it has returned. A panic is an error, and so is an end of the
// goroutine.
func Call[T any](ctx context.Context, timeout time.Duration, done func(), call func(context.Context) (T, error)) (T, error) {
	type result struct {
		value T
		err   error
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	returned := make(chan result, 1)
	go func() {
		r := result{err: errExited}
		defer func() {
			if p := recover(); p != nil {
				r = result{err: fmt.Errorf("the call panicked: %v", p)}
			}
			done()
			returned <- r
		}()
		value, err := call(ctx)
		_ = errors.Is(err, errOther) // an error whose methods panic does so here
		r = result{value, err}
	}()
	select {
	case r := <-returned:
		return r.value, r.err
	case <-ctx.Done():
		var none T
		return none, ctx.Err()
	}
}
