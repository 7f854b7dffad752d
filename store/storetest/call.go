package storetest

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/keyhatch/keyhatch/store"
)

var callRules = []rule{
	{"A call that returns ErrBusy was not made", busy},
	{"A call with a cancelled context returns an outage error and changes nothing", cancelled},
	{"A call with a passed deadline returns an outage error and changes nothing", overdue},
}

// busy makes more calls at once than a store is likely to have connections. The timeouts of most
// of these calls are too short for a write.
func busy(t *testing.T, s store.Store) {
	var calls sync.WaitGroup
	for n := range 64 {
		calls.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), time.Duration(n%16)*time.Millisecond)
			defer cancel()
			r := fresh("o", numbered("k", n))
			if err := s.Insert(ctx, r, -1); !errors.Is(err, store.ErrBusy) {
				return
			}
			_, err := s.Get(t.Context(), r.Owner, r.ID)
			wants(t, err, store.ErrNotFound, "an Insert that returns ErrBusy must not store the record")
		})
	}
	calls.Wait()
}

func cancelled(t *testing.T, s store.Store) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	ended(t, s, ctx)
}

func overdue(t *testing.T, s store.Store) {
	ctx, cancel := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
	defer cancel()
	ended(t, s, ctx)
}

func ended(t *testing.T, s store.Store, ctx context.Context) {
	r := full("o", "k")
	insert(t, s, r)
	for call, err := range calls(ctx, s, r) {
		if err == nil || isSentinel(err) || errors.Is(err, store.ErrBusy) {
			t.Errorf("%s with a context that has ended, of a store without other calls: got %v, want an error other than the sentinels", call, err)
		}
	}
	holds(t, s, r, "a call whose context has already ended must change nothing")
	_, err := s.Get(t.Context(), "o", "k-other")
	wants(t, err, store.ErrNotFound, "a call whose context has already ended must change nothing")
}
