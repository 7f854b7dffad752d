package cachetest

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/keyhatch/keyhatch/cache"
)

// A receiver is one call of Receive. It keeps the delivered messages.
type receiver struct {
	t      *testing.T
	begun  func()        // called by ready, unless nil
	slow   time.Duration // how long deliver takes
	cancel context.CancelFunc
	ready  chan struct{}
	ended  chan struct{}                                   // closed when Receive returns
	echo   func(ctx context.Context, message string) error // valid once ready is closed
	err    error                                           // the error of Receive; valid once ended is closed

	readies, delivers atomic.Int64

	mu    sync.Mutex
	got   []string
	moved chan struct{} // closed and replaced when got grows
}

// receive starts a receiver and waits until it is ready. It ends with the test.
func receive(t *testing.T, b cache.Bus) *receiver {
	t.Helper()
	r := &receiver{t: t}
	r.start(b)
	r.awaitReady()
	return r
}

func (r *receiver) start(b cache.Bus) {
	r.ready, r.ended, r.moved = make(chan struct{}), make(chan struct{}), make(chan struct{})
	ctx, cancel := context.WithCancel(r.t.Context())
	r.cancel = cancel
	r.t.Cleanup(r.end)
	go func() {
		defer close(r.ended)
		r.err = b.Receive(ctx, r.onReady, r.deliver)
	}()
}

func (r *receiver) awaitReady() {
	r.t.Helper()
	select {
	case <-r.ready:
	case <-r.ended:
		r.t.Fatalf("Receive must call ready before it returns: %v", r.err)
	case <-time.After(patience):
		r.t.Fatalf("Receive must call ready: not within %v", patience)
	}
}

func (r *receiver) onReady(echo func(context.Context, string) error) {
	r.echo = echo
	if r.readies.Add(1) > 1 {
		r.t.Error("ready must be called once: it was called again")
		return
	}
	if r.begun != nil {
		r.begun()
	}
	close(r.ready)
}

func (r *receiver) deliver(message string) {
	if r.delivers.Add(1) > 1 {
		r.t.Error("Receive must not call deliver concurrently: two calls overlapped")
	}
	defer r.delivers.Add(-1)
	if r.readies.Load() == 0 {
		r.t.Errorf("ready must be called before the first deliver: %.40q was delivered first", message)
	}
	time.Sleep(r.slow)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.got = append(r.got, message)
	close(r.moved)
	r.moved = make(chan struct{})
}

// wait returns the delivered messages once they satisfy done. After patience it returns
// the messages so far, and the caller reports the missing ones.
func (r *receiver) wait(done func(got []string) bool) []string {
	r.t.Helper()
	for deadline := time.After(patience); ; {
		r.mu.Lock()
		got, moved := r.got[:len(r.got):len(r.got)], r.moved
		r.mu.Unlock()
		if done(got) {
			return got
		}
		select {
		case <-moved:
		case <-r.ended:
			r.t.Fatalf("Receive must not return while its connection is open: it returned %v", r.err)
		case <-deadline:
			return got
		}
	}
}

// waitFor returns the delivered messages once there are at least n.
func (r *receiver) waitFor(n int) []string {
	r.t.Helper()
	return r.wait(func(got []string) bool { return len(got) >= n })
}

// end cancels the context of Receive, which must return at once with an error.
func (r *receiver) end() {
	r.t.Helper()
	r.cancel()
	select {
	case <-r.ended:
	case <-time.After(soon):
		r.t.Fatalf("Receive must return when its context ends: not within %v", soon)
	}
	if r.err == nil {
		r.t.Error("Receive must return an error when its context ends: got nil")
	}
}
