package cache

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// Nobody is inside once close has returned, and nobody gets in from then on:
// ristretto's Close panics beside any other call.
func TestGate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g gate
		var first, second Key
		second[17] = 1 // another lane
		if !g.enter(&first) || !g.enter(&second) {
			t.Fatal("an open gate let nobody in")
		}
		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := g.close(short); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("close with two inside: %v, want the deadline", err)
		}
		if g.enter(&first) {
			t.Error("a closing gate let somebody in")
			g.leave(&first)
		}
		var closed atomic.Bool
		go func() {
			if err := g.close(t.Context()); err != nil {
				t.Errorf("close: %v", err)
			}
			closed.Store(true)
		}()
		for _, key := range []*Key{&first, &second} {
			time.Sleep(time.Second)
			if closed.Load() {
				t.Error("close returned with somebody inside")
			}
			g.leave(key)
		}
		time.Sleep(time.Second)
		if !closed.Load() {
			t.Error("close did not return when all had left")
		}
		if g.enter(&second) {
			t.Error("a closed gate let somebody in")
		}
	})
}
