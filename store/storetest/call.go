package storetest

import (
	"context"
	"testing"
	"time"

	"github.com/keyhatch/keyhatch/store"
)

var callRules = []rule{
	{"A call with a cancelled context returns an outage error and changes nothing", cancelled},
	{"A call with a passed deadline returns an outage error and changes nothing", overdue},
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
		if err == nil || isSentinel(err) {
			t.Errorf("%s with a context that has ended: got %v, want an error that is none of the sentinels", call, err)
		}
	}
	holds(t, s, r, "a call whose context has already ended must change nothing")
	_, err := s.Get(t.Context(), "o", "k-other")
	wants(t, err, store.ErrNotFound, "a call whose context has already ended must change nothing")
}
