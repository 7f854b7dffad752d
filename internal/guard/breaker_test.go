package guard_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/keyhatch/keyhatch/internal/guard"
)

var errDown = errors.New("connection refused")

func key(n int) (k guard.Key) { k[0] = byte(n); return k }

// call simulates a call for key n that lasts for d, if the Breaker allows it.
func call(b *guard.Breaker, n int, d time.Duration, err error) (made bool) {
	if allowed, _ := b.Allow(key(n)); !allowed {
		return false
	}
	began := time.Now()
	time.Sleep(d)
	b.Record(key(n), began, err)
	return true
}

// isTrial reports whether the Breaker allows a call of key n as its trial.
func isTrial(b *guard.Breaker, n int) bool {
	_, trial := b.Allow(key(n))
	return trial
}

// a Breaker opens when calls for five different keys in a row have failed
// slowly.
func TestBreakerOpens(t *testing.T) {
	type step struct {
		key  int
		took time.Duration
		err  error
	}
	each := func(n int, d time.Duration) (all []step) {
		for i := range n {
			all = append(all, step{i, d, errDown})
		}
		return all
	}
	for _, tt := range []struct {
		name  string
		steps []step
		open  bool
	}{
		{"four slow failures", each(4, time.Second), false},
		{"five slow failures", each(5, time.Second), true},
		{"five fast failures", each(5, time.Millisecond), false},
		{"a success between", append(append(each(3, time.Second), step{9, 0, nil}), each(3, time.Second)...), false},
		{"one key, five times", []step{{0, time.Second, errDown}, {0, time.Second, errDown}, {0, time.Second, errDown}, {0, time.Second, errDown}, {0, time.Second, errDown}}, false},
		{"fast failures, then slow ones of other keys", append(each(5, time.Millisecond), step{5, time.Second, errDown}, step{6, time.Second, errDown}, step{7, time.Second, errDown}, step{8, time.Second, errDown}, step{9, time.Second, errDown}), true},
	} {
		synctest.Test(t, func(t *testing.T) {
			b := guard.NewBreaker(time.Second)
			for _, s := range tt.steps {
				call(b, s.key, s.took, s.err)
			}
			if open := !b.Ready(key(100)); open != tt.open {
				t.Errorf("%s: open: got %t, want %t", tt.name, open, tt.open)
			}
		})
	}
}

// An open Breaker allows one trial in each pause, and closes when a trial succeeds.
// The pauses differ, so that instances do not try in step.
func TestBreakerTrial(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := guard.NewBreaker(0)
		for n := range 5 {
			call(b, n, 0, errDown)
		}
		if err := b.Err(); !errors.Is(err, errDown) {
			t.Errorf("Err = %v, want the last failure", err)
		}
		pauses := map[time.Duration]bool{}
		for range 10 {
			began := time.Now()
			for !b.Ready(key(100)) {
				time.Sleep(time.Millisecond)
			}
			pause := time.Since(began)
			if pauses[pause] = true; pause < 375*time.Millisecond || pause > 626*time.Millisecond {
				t.Errorf("got a trial after %v, want 375 to 625 ms", pause)
			}
			if isTrial(b, 0) {
				t.Error("got the first trial for a key that has failed, want it for another key")
			}
			if !isTrial(b, 100) || isTrial(b, 101) {
				t.Fatal("got more than one trial, want exactly one")
			}
			b.Record(key(100), time.Now(), errDown)
		}
		if len(pauses) == 1 {
			t.Errorf("got ten equal pauses %v, want different ones", pauses)
		}
		time.Sleep(2 * time.Second) // longer than the pause, and the extra pause of keys that have failed
		if !call(b, 0, 0, nil) || !b.Closed() || isTrial(b, 1) {
			t.Error("the Breaker is still open after a successful trial")
		}
	})
}

// If a trial did not run, the next caller may run it. The Breaker stays open,
// since nothing was learned.
func TestBreakerRelease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := guard.NewBreaker(0)
		for n := range 5 {
			call(b, n, 0, errDown)
		}
		time.Sleep(time.Second)
		for range 3 {
			if !isTrial(b, 100) {
				t.Fatal("Allow refused the next caller after Release")
			}
			b.Release()
		}
		if !isTrial(b, 100) || isTrial(b, 101) {
			t.Error("the Breaker closed without a successful call")
		}
	})
}

// A failure of a call that began before the last success does not count.
func TestBreakerIgnoresFailuresFromBeforeASuccess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := guard.NewBreaker(0)
		began := time.Now()
		time.Sleep(time.Second)
		call(b, 100, 0, nil)
		for n := range 5 {
			b.Record(key(n), began, errDown)
		}
		if !b.Ready(key(0)) {
			t.Error("calls that began before the last success opened the Breaker")
		}
	})
}
