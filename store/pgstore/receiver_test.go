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

// A receiver is a running call of Receive.
type receiver struct {
	t        testing.TB
	cancel   context.CancelFunc
	messages chan string
	echo     func(ctx context.Context, message string) error
	ended    chan struct{} // closed when Receive has returned
	err      error         // valid once ended is closed
	expect   atomic.Bool   // Receive may return by itself
}

// receive starts a receiver and waits until it is ready. It ends with the test.
func receive(t testing.TB, b cache.Bus) *receiver {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context())) // until end
	r := &receiver{t: t, cancel: cancel, messages: make(chan string, 10_000), ended: make(chan struct{})}
	ready := make(chan struct{})
	go func() {
		defer close(r.ended)
		r.err = b.Receive(ctx, func(echo func(context.Context, string) error) { r.echo = echo; close(ready) }, func(m string) {
			select {
			case r.messages <- m:
			case <-ctx.Done():
			}
		})
	}()
	t.Cleanup(r.end)
	select {
	case <-ready:
	case <-r.ended:
		t.Fatalf("Receive returned before it called ready: %v", r.err)
	}
	return r
}

// mayEnd allows Receive to return before its context ends.
func (r *receiver) mayEnd() { r.expect.Store(true) }

// lost calls take, which breaks the connection, and waits until Receive returns. The
// error must not be that of its context.
func (r *receiver) lost(take func()) {
	r.t.Helper()
	r.mayEnd()
	take()
	select {
	case <-r.ended:
	case <-time.After(patience):
		r.t.Fatalf("Receive did not return within %v after its connection was lost", patience)
	}
	if r.err == nil || errors.Is(r.err, context.Canceled) {
		r.t.Errorf("Receive after its connection was lost: got %v, want an error", r.err)
	}
}

// end ends Receive, unless it has returned already.
func (r *receiver) end() {
	r.t.Helper()
	select {
	case <-r.ended:
		if !r.expect.Load() {
			r.t.Errorf("Receive returned before its context ended: %v", r.err)
		}
		return
	default:
	}
	r.mayEnd()
	r.cancel()
	<-r.ended
	if !errors.Is(r.err, context.Canceled) {
		r.t.Errorf("Receive after its context ended: got %v, want %v", r.err, context.Canceled)
	}
}

// wants fails unless these are the next messages.
func (r *receiver) wants(messages ...string) {
	r.t.Helper()
	for i, want := range messages {
		select {
		case got := <-r.messages:
			if got != want {
				r.t.Fatalf("message %d: got %.40q, want %.40q", i, got, want)
			}
		case <-r.ended:
			r.t.Fatalf("message %d: Receive returned: %v", i, r.err)
		case <-time.After(patience):
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
