// Package guard bounds calls to stores, providers and servers that may be slow, fail,
// hang or panic.
package guard

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// errExited is the error of a call that ended its goroutine.
var errExited = errors.New("the call ended its goroutine")

// errPanicked is the error of a call whose panic cannot be described.
var errPanicked = errors.New("the call panicked")

// errProbe is an error that no call returns.
var errProbe = errors.New("guard: probe")

// Run calls call in a new goroutine and returns its error, however long it takes. If
// call panics or ends its goroutine, Run returns an error. An error whose methods
// panic counts as a panic.
func Run(call func() error) error {
	returned := make(chan error, 1)
	go finish(call, func(err error) { returned <- err })
	return <-returned
}

// Call calls call in a new goroutine and returns its result. The context of call
// ends after the timeout. If call has not returned by then, Call returns the
// context's error at once, and call continues in its goroutine. When call has
// returned, done is called. If call panics or ends its goroutine, Call returns an
// error. An error whose methods panic counts as a panic.
func Call[T any](ctx context.Context, timeout time.Duration, done func(), call func(context.Context) (T, error)) (T, error) {
	type result struct {
		value T
		err   error
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	returned := make(chan result, 1)
	var value T
	go finish(func() (err error) {
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

// finish calls call and passes its error to done. It calls done exactly once, even
// if call panics or ends its goroutine.
func finish(call func() error, done func(error)) {
	err := errExited
	defer func() {
		_ = recover() // a panic below, whose value cannot be printed
		done(err)
	}()
	defer func() {
		if p := recover(); p != nil {
			err = errPanicked // stays if a method of p panics or ends the goroutine in the next line
			err = fmt.Errorf("the call panicked: %v", p)
		}
	}()
	e := call()
	_ = errors.Is(e, errProbe)
	err = e
}

// Classify replaces an error of another package. The result has the same message. It
// matches only the first of known that err matches, or a context's error. So a store
// that returns an error of another package cannot make an outage look like a refusal.
// No method of err is called afterwards. Classify panics if a method of err does, so
// use it within the guarded call.
func Classify(err error, known ...error) error {
	if err == nil {
		return nil
	}
	c := &classified{text: err.Error()}
	for _, k := range append(known[:len(known):len(known)], context.Canceled, context.DeadlineExceeded) {
		if errors.Is(err, k) {
			c.known = k
			break
		}
	}
	return c
}

type classified struct {
	text  string
	known error // the error that callers can match; nil for an outage
}

func (c *classified) Error() string { return c.text }
func (c *classified) Unwrap() error { return c.known }
