package pgstore_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/keyhatch/keyhatch/cache"
	"github.com/keyhatch/keyhatch/store/pgstore"
)

func openBus(t testing.TB, s *pgstore.Store, o *pgstore.BusOptions) *pgstore.Bus {
	t.Helper()
	b, err := s.Bus(t.Context(), o)
	if err != nil {
		t.Fatalf("Bus: %v", err)
	}
	return b
}

// A receiver is a call of Receive that is under way.
type receiver struct {
	t      testing.TB
	cancel context.CancelFunc
	heard  chan string
	echo   func(ctx context.Context, message string) error
	ended  chan struct{} // closed when Receive has returned
	err    error         // valid once ended is closed
	expect atomic.Bool   // that it ends by itself
}

// hear returns when Receive is ready. It goes with the test.
func hear(t testing.TB, b cache.Bus) *receiver {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context())) // until end
	r := &receiver{t: t, cancel: cancel, heard: make(chan string, 10_000), ended: make(chan struct{})}
	ready := make(chan struct{})
	go func() {
		defer close(r.ended)
		r.err = b.Receive(ctx, func(echo func(context.Context, string) error) { r.echo = echo; close(ready) }, func(m string) {
			select {
			case r.heard <- m:
			case <-ctx.Done():
			}
		})
	}()
	t.Cleanup(r.end)
	select {
	case <-ready:
	case <-r.ended:
		t.Fatalf("Receive ends before it is ready: %v", r.err)
	}
	return r
}

// mayEnd is for a test that takes the connection away.
func (r *receiver) mayEnd() { r.expect.Store(true) }

// lost returns how long it takes Receive to notice that its connection is gone,
// which must be an error that is not its context's.
func (r *receiver) lost(take func()) time.Duration {
	r.t.Helper()
	r.mayEnd()
	take()
	began := time.Now()
	select {
	case <-r.ended:
	case <-time.After(10 * time.Second):
		r.t.Fatal("Receive waits for a connection that is gone")
	}
	if r.err == nil || errors.Is(r.err, context.Canceled) {
		r.t.Errorf("Receive without a connection: got %v, want an error", r.err)
	}
	return time.Since(began)
}

// end ends it, unless the connection has ended it before.
func (r *receiver) end() {
	r.t.Helper()
	select {
	case <-r.ended:
		if !r.expect.Load() {
			r.t.Errorf("Receive has ended by itself: %v", r.err)
		}
		return
	default:
	}
	r.mayEnd()
	r.cancel()
	<-r.ended
	if !errors.Is(r.err, context.Canceled) {
		r.t.Errorf("Receive at the end of its context: got %v, want %v", r.err, context.Canceled)
	}
}

// wants fails unless these come next.
func (r *receiver) wants(messages ...string) {
	r.t.Helper()
	for i, want := range messages {
		select {
		case got := <-r.heard:
			if got != want {
				r.t.Fatalf("message %d: got %.40q, want %.40q", i, got, want)
			}
		case <-r.ended:
			r.t.Fatalf("message %d: Receive has ended: %v", i, r.err)
		case <-time.After(10 * time.Second):
			r.t.Fatalf("message %d: got none, want %.40q", i, want)
		}
	}
}

func publish(t testing.TB, b cache.Bus, messages ...string) {
	t.Helper()
	for _, m := range messages {
		if err := b.Publish(t.Context(), m); err != nil {
			t.Fatalf("Publish: %v", err)
		}
	}
}

func numbered(from, n int) (messages []string) {
	for i := range n {
		messages = append(messages, fmt.Sprint("message ", from+i))
	}
	return messages
}
