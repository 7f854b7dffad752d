// Package guard bounds calls of stores, providers and servers that may be slow,
// fail, hang or panic.
package guard

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// errExited is the error of a call that ended its goroutine.
var errExited = errors.New("the call ended its goroutine")

// errProbe is an error that no call returns.
var errProbe = errors.New("guard: probe")

// Finish calls call and passes its error to done. It calls done exactly once, even
// if call panics or ends its goroutine. An error whose methods panic counts as a
// panic, so callers may use the error without care.
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

// Call calls call in a new goroutine and returns its result. The context of call
// ends after the timeout. If call has not returned by then, Call returns the
// context's error at once, and call goes on in its goroutine. When call has
// returned, done is called. If call panics or ends its goroutine, Call returns an
// error.
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
