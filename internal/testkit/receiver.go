package testkit

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// arrival bounds the time that a message takes, and that a bus takes to notice a lost
// connection.
const arrival = 10 * time.Second

// A Receiver is a running call of Receive, a method of a bus.
type Receiver struct {
	Messages chan string // what was delivered
	Echo     func(ctx context.Context, message string) error
	Ended    chan struct{} // closed when Receive has returned
	Err      error         // the error of Receive; valid once Ended is closed

	tb       testing.TB
	cancel   context.CancelFunc
	expected atomic.Bool // Receive may have returned
}

// Receive starts a Receiver and waits until it is ready. When the test ends, it calls
// End.
func Receive(tb testing.TB, bus interface {
	Receive(ctx context.Context, ready func(echo func(ctx context.Context, message string) error), deliver func(message string)) error
}) *Receiver {
	tb.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(tb.Context())) // until End
	r := &Receiver{Messages: make(chan string, 10_000), Ended: make(chan struct{}), tb: tb, cancel: cancel}
	ready := make(chan struct{})
	go func() {
		defer close(r.Ended)
		r.Err = bus.Receive(ctx, func(echo func(context.Context, string) error) { r.Echo = echo; close(ready) }, func(m string) {
			select {
			case r.Messages <- m:
			case <-ctx.Done():
			}
		})
	}()
	tb.Cleanup(r.End)
	select {
	case <-ready:
		return r
	case <-r.Ended:
	}
	select {
	case <-ready: // before it returned
	default:
		r.expected.Store(true)
		tb.Fatalf("Receive returned before it called ready: %v", r.Err)
	}
	return r
}

// Wants fails unless these are the next messages.
func (r *Receiver) Wants(messages ...string) {
	r.tb.Helper()
	for i, want := range messages {
		select {
		case got := <-r.Messages:
			if got != want {
				r.tb.Fatalf("message %d: got %.40q, want %.40q", i, got, want)
			}
		case <-r.Ended:
			r.tb.Fatalf("message %d: Receive returned %v, want %.40q", i, r.Err, want)
		case <-time.After(arrival):
			r.tb.Fatalf("message %d: got none within %v, want %.40q", i, arrival, want)
		}
	}
}

// AwaitEnd waits until Receive returns, although its context has not ended. It fails unless the
// error contains the words.
func (r *Receiver) AwaitEnd(words string) {
	r.tb.Helper()
	r.expected.Store(true)
	select {
	case <-r.Ended:
	case <-time.After(arrival):
		r.tb.Fatalf("Receive has not returned within %v, want it to return an error with %q", arrival, words)
	}
	if r.Err == nil || errors.Is(r.Err, context.Canceled) || !strings.Contains(r.Err.Error(), words) {
		r.tb.Errorf("Receive before its context ended: got %v, want an error with %q", r.Err, words)
	}
}

// End ends the context of Receive. It fails unless Receive then returns the context's
// error, or has returned in AwaitEnd.
func (r *Receiver) End() {
	r.tb.Helper()
	select {
	case <-r.Ended:
		if !r.expected.Load() {
			r.tb.Errorf("Receive returned before its context ended: %v", r.Err)
		}
		return
	default:
	}
	r.expected.Store(true)
	r.cancel()
	<-r.Ended
	if !errors.Is(r.Err, context.Canceled) {
		r.tb.Errorf("Receive after its context ended: got %v, want %v", r.Err, context.Canceled)
	}
}
