package storetest

import (
	"slices"
	"testing"
	"time"

	"github.com/keyhatch/keyhatch/store"
)

var revokeRules = []rule{
	{"Revoke is final and keeps the first time and reason", revokeOnce},
	{"Revoke works on records in every state", revokeAnyState},
	{"Revoke returns ErrNotFound for an unknown ID", revokeUnknown},
	{"RevokeAll revokes the records of one owner that are not revoked yet", revokeAll},
	{"RevokeAll revokes at most a batch of records at once", revokeAllMany},
}

// Advisories 13 and 15: CVE-2020-15223, GHSA-fpw6-hrg5-q5x5. M-11.
func revokeOnce(t *testing.T, s store.Store) {
	want := full("o", "k")
	insert(t, s, want)
	got, changed, err := s.Revoke(t.Context(), "o", "k", begin.Add(time.Minute), "leaked")
	want.RevokedAt, want.RevokeReason = begin.Add(time.Minute), "leaked"
	if err != nil || !changed {
		t.Errorf("the first Revoke must return changed: got changed %v, %v", changed, err)
	}
	equal(t, got, want, "Revoke must return the record as stored")
	for _, at := range []time.Time{begin, begin.Add(time.Hour)} {
		got, changed, err := s.Revoke(t.Context(), "o", "k", at, "again")
		if err != nil || changed {
			t.Errorf("a repeated Revoke must return neither an error nor changed: got changed %v, %v", changed, err)
		}
		equal(t, got, want, "the first revocation's time and reason must stay")
	}
	holds(t, s, want, "the first revocation's time and reason must stay")
}

func revokeAnyState(t *testing.T, s store.Store) {
	for i, state := range []func(*store.Record){
		func(r *store.Record) { r.ExpiresAt = time.Time{} },
		func(r *store.Record) { r.ExpiresAt = begin.Add(-time.Hour) },
		func(r *store.Record) { r.ExpiresAt = begin },
		func(r *store.Record) { r.ExpiresAt = begin.Add(time.Second) },
		func(r *store.Record) { r.DisabledAt = begin },
		func(r *store.Record) { r.ReplacedBy = "other" },
	} {
		r := full("o", numbered("k", i))
		state(&r)
		insert(t, s, r)
		got := revoke(t, s, r, begin, "")
		r.RevokedAt = begin
		equal(t, got, r, "Revoke must accept a record in any state, and an empty reason")
		holds(t, s, r, "Revoke must accept a record in any state")
	}
}

func revokeUnknown(t *testing.T, s store.Store) {
	_, changed, err := s.Revoke(t.Context(), "o", "k", begin, "gone")
	wants(t, err, store.ErrNotFound, "Revoke of an unknown ID")
	if changed {
		t.Error("Revoke of an unknown ID must not return changed")
	}
	if all, err := s.RevokeAll(t.Context(), "o", begin, "gone"); err != nil || len(all) != 0 {
		t.Errorf("RevokeAll of an owner without records must return no records and no error: got %v, %v", ids(all), err)
	}
}

func revokeAll(t *testing.T, s store.Store) {
	a, b, earlier, others := full("o", "a"), full("o", "b"), full("o", "earlier"), full("other", "c")
	b.DisabledAt, a.ExpiresAt = begin, begin
	insert(t, s, a, b, earlier, others)
	earlier = revoke(t, s, earlier, begin.Add(-time.Hour), "leaked")
	all, err := s.RevokeAll(t.Context(), "o", begin.Add(time.Minute), "closed")
	if err != nil {
		t.Fatal(err)
	}
	got := ids(all)
	if slices.Sort(got); !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("RevokeAll must return the records that it revoked: got %q, want a and b", got)
	}
	for _, r := range []*store.Record{&a, &b} {
		r.RevokedAt, r.RevokeReason = begin.Add(time.Minute), "closed"
		holds(t, s, *r, "RevokeAll must revoke disabled and expired records too")
	}
	for _, r := range all {
		equal(t, r, get(t, s, "o", r.ID), "RevokeAll must return records as stored")
	}
	holds(t, s, earlier, "the first revocation's time and reason must stay")
	holds(t, s, others, "another owner's records must not change")
	if all, err := s.RevokeAll(t.Context(), "o", begin, "again"); err != nil || len(all) != 0 {
		t.Errorf("a repeated RevokeAll must return no records: got %q, %v", ids(all), err)
	}
}

//
func revokeAllMany(t *testing.T, s store.Store) {
	const n = store.RevokeBatch + 1
	for i := range n {
		insert(t, s, fresh("o", numbered("k", i)))
	}
	seen := map[string]bool{}
	for _, want := range []int{store.RevokeBatch, 1, 0} {
		all, err := s.RevokeAll(t.Context(), "o", begin, "closed")
		if err != nil || len(all) != want {
			t.Errorf("RevokeAll must revoke %d records, or fewer if none is left: got %d, %v, want %d", store.RevokeBatch, len(all), err, want)
		}
		for _, r := range all {
			if seen[r.ID] || r.RevokedAt.IsZero() {
				t.Errorf("RevokeAll must return each revoked record once: got %+v", r)
			}
			seen[r.ID] = true
		}
		page, err := s.List(t.Context(), store.Query{Owner: "o", Filter: store.FilterCurrent, At: begin, Limit: 2})
		if left := min(n-len(seen), 2); err != nil || len(page.Records) != left {
			t.Errorf("RevokeAll must revoke exactly the records that it returns: got %d current records, %v, want %d", len(page.Records), err, left)
		}
	}
	all := follow(t, s, store.Query{Owner: "o"}, func(*store.Query) {})
	for _, r := range all {
		if r.RevokedAt.IsZero() {
			t.Fatalf("after the last batch every record must be revoked: record %s is not", r.ID)
		}
	}
	if len(all) != n {
		t.Errorf("RevokeAll must not lose a record: got %d, want %d", len(all), n)
	}
}
