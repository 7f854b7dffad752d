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
	{"Touch moves the last use forward only", touchForward},
	{"Touch replaces a last use by a wrong clock", touchWrongClock},
	{"Touch passes over unknown and revoked records", touchPassesOver},
	{"Touch takes batches of any size", touchMany},
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
		holds(t, s, r, "LastUsedAt only moves forward, and nothing else does")
	}
	holds(t, s, idle, "records that were not used are left alone")
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
		holds(t, s, r, fmt.Sprintf("a last use more than a day later than a use at %v comes from a wrong clock", step.use))
	}
}

func touchPassesOver(t *testing.T, s store.Store) {
	revoked, expired, disabled, good := full("o", "revoked"), fresh("o", "expired"), fresh("o", "disabled"), fresh("o", "good")
	expired.ExpiresAt = begin.Add(-time.Hour)
	disabled.DisabledAt = begin
	insert(t, s, revoked, expired, disabled, good)
	revoked = revoke(t, s, revoked, begin, "leaked")
	at := begin.Add(time.Minute)
	var uses []store.Use
	for _, id := range []string{"revoked", "expired", "disabled", "good", "unknown"} {
		uses = append(uses, store.Use{Digest: digest(id), At: at})
	}
	touch(t, s, uses...)
	expired.LastUsedAt, disabled.LastUsedAt, good.LastUsedAt = at, at, at
	for _, r := range []store.Record{revoked, expired, disabled, good} {
		holds(t, s, r, "a revoked record is never written, others are")
	}
	_, err := s.Lookup(t.Context(), digest("unknown"))
	wants(t, err, store.ErrNotFound, "Touch creates nothing")
}

func touchMany(t *testing.T, s store.Store) {
	if err := s.Touch(t.Context(), nil); err != nil {
		t.Errorf("an empty batch is no error: %v", err)
	}
	const n, every = 2_500, 25 // uses, of which some are of records
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
			t.Fatalf("each use in a batch is its own key's: key %d got %v", i, r.LastUsedAt)
		}
	}
}
