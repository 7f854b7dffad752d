package cache

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// After close has returned, no caller is inside the gate and none can enter: ristretto's
// Close panics during any other call.
func TestGate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g gate
		var first, second Key
		second[17] = 1 // another counter
		if !g.enter(&first) || !g.enter(&second) {
			t.Fatal("enter returned false although the gate was open")
		}
		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := g.close(short); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("close with two callers inside: got %v, want DeadlineExceeded", err)
		}
		if g.enter(&first) {
			t.Error("enter returned true although the gate was closing")
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
				t.Error("close returned although a caller was inside")
			}
			g.leave(key)
		}
		time.Sleep(time.Second)
		if !closed.Load() {
			t.Error("close did not return although all callers had left")
		}
		if g.enter(&second) {
			t.Error("enter returned true although the gate was closed")
		}
	})
}

// An entry from before all entries were marked stale is never served again, although
// ristretto may prefer it to one that is put right after it.
func TestOlderEntryEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, tt := range []struct {
			name   string
			strict bool
			pause  time.Duration // pause after all entries were marked stale
			ends   bool
		}{
			{"at once", true, 0, true},
			{"later", true, time.Second, false},
			{"at once, without StaleIfError", false, 0, false},
		} {
			var tab table[int]
			time.Sleep(time.Second)
			if err := tab.open(10, tt.strict); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
			var fence epoch
			older := &entry[int]{epoch: fence.Load()}
			tab.put(older, &fence)
			tab.outdate()
			fence.markStale()
			time.Sleep(tt.pause)
			e := &entry[int]{epoch: fence.Load()}
			if !tab.put(e, &fence) || e.epoch != fence.Load() {
				t.Errorf("%s: the entry is not current", tt.name)
			}
			if got := written(older.epoch, fence.Load()); got != tt.ends {
				t.Errorf("%s: older entry has ended: got %t, want %t", tt.name, got, tt.ends)
			}
			if err := tab.close(t.Context()); err != nil {
				t.Error(err)
			}
		}
	})
}
