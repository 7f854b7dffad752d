package storetest

import (
	"bytes"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/keyhatch/keyhatch/store"
)

var touchRules = []rule{
	{"Touch only moves LastUsedAt forward", touchForward},
	{"Touch replaces a LastUsedAt that a wrong clock set", touchWrongClock},
	{"Touch ignores unknown and revoked records", touchIgnores},
	{"Touch accepts batches of any size", touchMany},
}

func touch(t *testing.T, s store.Store, uses ...store.Use) {
	t.Helper()
	slices.SortFunc(uses, func(a, b store.Use) int { return bytes.Compare(a.Digest[:], b.Digest[:]) })
	if err := s.Touch(t.Context(), uses); err != nil {
		t.Fatalf("Touch: %v", err)
	}
}

func touchForward(t *testing.T, s store.Store) {
	r, idle := fresh("o", "k"), fresh("o", "idle")
	insert(t, s, r, idle)
	for _, step := range []struct{ use, want time.Duration }{
		{2 * time.Minute, 2 * time.Minute}, {time.Minute, 2 * time.Minute}, {2 * time.Minute, 2 * time.Minute},
		{2*time.Minute + time.Microsecond, 2*time.Minute + time.Microsecond}, {-time.Hour, 2*time.Minute + time.Microsecond},
	} {
		touch(t, s, store.Use{Digest: r.Digest, At: begin.Add(step.use)})
		r.LastUsedAt = begin.Add(step.want)
		holds(t, s, r, "Touch must only move LastUsedAt, and only forward")
	}
	holds(t, s, idle, "Touch must not change other records")
}

// Invariant 5.
func touchWrongClock(t *testing.T, s store.Store) {
	r := fresh("o", "k")
	insert(t, s, r)
	for _, step := range []struct{ use, want time.Duration }{
		{365 * 24 * time.Hour, 365 * 24 * time.Hour},
		{-time.Microsecond, 365 * 24 * time.Hour}, // older than the record
		{364 * 24 * time.Hour, 365 * 24 * time.Hour},
		{364*24*time.Hour - time.Microsecond, 364*24*time.Hour - time.Microsecond},
		{0, 0},
		{24 * time.Hour, 24 * time.Hour}, {0, 24 * time.Hour},
	} {
		touch(t, s, store.Use{Digest: r.Digest, At: begin.Add(step.use)})
		r.LastUsedAt = begin.Add(step.want)
		holds(t, s, r, fmt.Sprintf("a LastUsedAt more than a day after a use at %v must be replaced", step.use))
	}
}

func touchIgnores(t *testing.T, s store.Store) {
	revoked, expired, disabled, active := full("o", "revoked"), fresh("o", "expired"), fresh("o", "disabled"), fresh("o", "active")
	expired.ExpiresAt = begin.Add(-time.Hour)
	disabled.DisabledAt = begin
	insert(t, s, revoked, expired, disabled, active)
	revoked = revoke(t, s, revoked, begin, "leaked")
	at := begin.Add(time.Minute)
	var uses []store.Use
	for _, id := range []string{"revoked", "expired", "disabled", "active", "unknown"} {
		uses = append(uses, store.Use{Digest: digest(id), At: at})
	}
	touch(t, s, uses...)
	expired.LastUsedAt, disabled.LastUsedAt, active.LastUsedAt = at, at, at
	for _, r := range []store.Record{revoked, expired, disabled, active} {
		holds(t, s, r, "Touch must update every record except revoked ones")
	}
	_, err := s.Lookup(t.Context(), digest("unknown"))
	wants(t, err, store.ErrNotFound, "Touch must not create a record")
}

func touchMany(t *testing.T, s store.Store) {
	if err := s.Touch(t.Context(), nil); err != nil {
		t.Errorf("an empty batch must not be an error: %v", err)
	}
	const n, every = 2_500, 25 // the number of uses, and how many of them there are for each record
	var uses []store.Use
	for i := range n {
		id := numbered("k", i)
		if i%every == 0 {
			insert(t, s, fresh("o", id))
		}
		uses = append(uses, store.Use{Digest: digest(id), At: begin.Add(time.Duration(i) * time.Second)})
	}
	touch(t, s, uses...)
	for i := 0; i < n; i += every {
		if r := get(t, s, "o", numbered("k", i)); !r.LastUsedAt.Equal(begin.Add(time.Duration(i) * time.Second)) {
			t.Fatalf("each use of a batch must reach its own record: record %d got %v", i, r.LastUsedAt)
		}
	}
}
