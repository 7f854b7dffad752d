package guard_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/keyhatch/keyhatch/internal/guard"
)

// C-14: the number of concurrent calls is bounded, and so is the queue. If the
// queue is full, Acquire fails at once.
func TestPlaces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := guard.NewPlaces(2, 3)
		var under, most, served, refused atomic.Int64
		for range 10 {
			go func() {
				began := time.Now()
				if err := p.Acquire(t.Context(), time.Minute); err != nil {
					if refused.Add(1); err != guard.ErrBusy || time.Since(began) > 0 {
						t.Errorf("got %v after %v, want ErrBusy at once", err, time.Since(began))
					}
					return
				}
				if n := under.Add(1); n > most.Load() {
					most.Store(n)
				}
				time.Sleep(time.Second)
				under.Add(-1)
				p.Release()
				served.Add(1)
			}()
		}
		time.Sleep(time.Minute)
		if most.Load() != 2 || served.Load() != 5 || refused.Load() != 5 {
			t.Errorf("got %d concurrent calls, %d served, %d refused, want 2, 5 and 5", most.Load(), served.Load(), refused.Load())
		}
	})
}

// AcquireWhile waits as long as more returns another wait, and keeps its place in the
// queue.
func TestPlacesWaitWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := guard.NewPlaces(1, 0)
		if err := p.Acquire(t.Context(), 0); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		for range 3 {
			go func() {
				more := []time.Duration{2 * time.Second, time.Minute, 0}
				err := p.AcquireWhile(t.Context(), time.Second, func() time.Duration {
					next := more[0]
					more = more[1:]
					return next
				})
				if took := time.Since(began); err == nil && took != 10*time.Second || err != nil && (err != guard.ErrBusy || took != 63*time.Second) {
					t.Errorf("got %v after %v, want a place after 10 s, or ErrBusy after 63 s", err, took)
				}
			}()
		}
		time.Sleep(10 * time.Second)
		p.Release()
		time.Sleep(10 * time.Minute)
		short, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if err := p.AcquireWhile(short, time.Second, func() time.Duration { return time.Second }); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("caller's context ends: got %v, want the context's error", err)
		}
	})
}

// Acquire returns when the given wait has passed, or when its context ends.
func TestPlacesWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := guard.NewPlaces(1, 10)
		if err := p.Acquire(t.Context(), 0); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		if err := p.Acquire(t.Context(), time.Second); err != guard.ErrBusy || time.Since(began) != time.Second {
			t.Errorf("got %v after %v, want ErrBusy after 1 s", err, time.Since(began))
		}
		short, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if err := p.Acquire(short, time.Second); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("caller's context ends first: got %v, want the context's error", err)
		}
		p.Release()
		if err := p.Acquire(t.Context(), 0); err != nil {
			t.Errorf("after Release: got %v, want a place", err)
		}
	})
}

// A call that timed out keeps its place until it returns.
func TestCallKeepsItsPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := guard.NewPlaces(1, 0)
		if err := p.Acquire(t.Context(), 0); err != nil {
			t.Fatal(err)
		}
		_, err := guard.Call(t.Context(), time.Second, p.Release, func(context.Context) (int, error) {
			time.Sleep(time.Minute)
			return 1, nil
		})
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("call that hangs: got %v, want DeadlineExceeded", err)
		}
		if err := p.Acquire(t.Context(), 0); err != guard.ErrBusy {
			t.Errorf("while the abandoned call runs: got %v, want ErrBusy", err)
		}
		time.Sleep(time.Minute)
		if err := p.Acquire(t.Context(), 0); err != nil {
			t.Errorf("after the call returned: got %v, want a place", err)
		}
	})
}
