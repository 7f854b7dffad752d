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

// errProbe is an error that nothing returns.
var errProbe = errors.New("guard: probe")

// Finish calls call and passes its error to done. It calls done exactly once, also
// if call panics or ends its goroutine. An error whose methods panic counts as a
// panic, so that no caller has to call them with care.
func Finish(call func() error, done func(error)) {
	err := errExited
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the call panicked: %v", p)
		}
		done(err)
	}()
	e := call()
	_ = errors.Is(e, errProbe)
	err = e
}

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
	var value T
	go Finish(func() (err error) {
		value, err = call(ctx)
		return err
	}, func(err error) {
		done()
		returned <- result{value, err}
	})
	select {
	case r := <-returned:
		return r.value, r.err
	case <-ctx.Done():
		var none T
		return none, ctx.Err()
	}
}
