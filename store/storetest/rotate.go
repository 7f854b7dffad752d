package storetest

import (
	"testing"
	"time"

	"github.com/keyhatch/keyhatch/store"
)

var rotateRules = []rule{
	{"Rotate creates a successor and ends the old record with the grace period", rotateWithGrace},
	{"Rotate without a grace period revokes the old record", rotateAtOnce},
	{"Rotate never moves an expiry to a later time", rotateNeverLengthens},
	{"Rotate returns ErrConflict for a record that is not active or was replaced", rotateRefuses},
	{"Rotate returns ErrDuplicate if the digest or the ID is taken", rotateDuplicate},
	{"After a rotation the successor counts and the old record does not", rotateLimit},
	{"Rotate with a grace period keeps the limit", rotateKeepsLimit},
}

func rotateWithGrace(t *testing.T, s store.Store) {
	old := fresh("o", "k")
	old.LastUsedAt = begin.Add(time.Second)
	insert(t, s, old)
	at, ends := begin.Add(time.Minute), begin.Add(time.Hour)
	given := next("n", at)
	given.Owner, given.Name, given.ExpiresAt = "someone", "ignored", begin // must be ignored
	gotOld, now, err := s.Rotate(t.Context(), "o", "k", given, ends, -1)
	if err != nil {
		t.Fatal(err)
	}
	want := fresh("o", "k")
	want.ID, want.Digest, want.Hint, want.CreatedAt = "n", given.Digest, given.Hint, at
	old.ReplacedBy, old.ExpiresAt = "n", ends
	equal(t, gotOld, old, "the old record must name its successor and expire with the grace period")
	equal(t, now, want, "the successor must inherit name, creator, scopes, metadata and expiry, and nothing else")
	holds(t, s, old, "Rotate must store what it returns")
	holds(t, s, want, "Rotate must store what it returns")

	again, _, err := s.Rotate(t.Context(), "o", "n", next("n2", at), ends, -1)
	if err != nil || again.ReplacedBy != "n2" {
		t.Errorf("a successor can be rotated in turn: got %+v, %v", again, err)
	}
}

func rotateAtOnce(t *testing.T, s store.Store) {
	for i, early := range []time.Duration{0, time.Microsecond, time.Hour} {
		old := full("o", numbered("k", i))
		insert(t, s, old)
		at := begin.Add(time.Minute)
		got, _, err := s.Rotate(t.Context(), "o", old.ID, next(numbered("n", i), at), at.Add(-early), -1)
		if err != nil {
			t.Fatal(err)
		}
		old.ReplacedBy, old.RevokedAt, old.RevokeReason = numbered("n", i), at, store.ReasonRotated
		equal(t, got, old, "an old record whose grace period has ended must be revoked")
		holds(t, s, old, "an old record whose grace period has ended must be revoked")
	}
}

// Advisories 14 and 20: CVE-2021-32923, GHSA-3rw9-wmc8-8948. M-14.
func rotateNeverLengthens(t *testing.T, s store.Store) {
	old := full("o", "k")
	insert(t, s, old)
	got, now, err := s.Rotate(t.Context(), "o", "k", next("n", begin), old.ExpiresAt.Add(time.Hour), -1)
	if err != nil {
		t.Fatal(err)
	}
	if !got.ExpiresAt.Equal(old.ExpiresAt) {
		t.Errorf("a grace period must not outlast the old record's expiry: got %v, want %v", got.ExpiresAt, old.ExpiresAt)
	}
	if !now.ExpiresAt.Equal(old.ExpiresAt) {
		t.Errorf("a successor must have the old record's expiry: got %v, want %v", now.ExpiresAt, old.ExpiresAt)
	}
	if kept := get(t, s, "o", "n"); !kept.ExpiresAt.Equal(old.ExpiresAt) {
		t.Errorf("a successor must have the old record's expiry: stored %v, want %v", kept.ExpiresAt, old.ExpiresAt)
	}
}

func rotateRefuses(t *testing.T, s store.Store) {
	expired, disabled, revoked, replaced := full("o", "expired"), full("o", "disabled"), full("o", "revoked"), full("o", "replaced")
	expired.ExpiresAt = begin.Add(time.Minute)
	disabled.DisabledAt = begin
	insert(t, s, expired, disabled, revoked, replaced)
	revoked = revoke(t, s, revoked, begin, "leaked")
	replaced, _, err := s.Rotate(t.Context(), "o", "replaced", next("first", begin), begin.Add(time.Hour), -1)
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range []store.Record{expired, disabled, revoked, replaced} {
		n := next(numbered("n", i), begin.Add(time.Minute))
		_, _, err := s.Rotate(t.Context(), "o", r.ID, n, begin.Add(time.Hour), -1)
		wants(t, err, store.ErrConflict, "Rotate of a record that is "+r.ID)
		holds(t, s, r, "a refused rotation must change nothing")
		_, err = s.Lookup(t.Context(), n.Digest)
		wants(t, err, store.ErrNotFound, "a refused rotation must not create a successor")
	}
	_, _, err = s.Rotate(t.Context(), "o", "unknown", next("n", begin), begin, -1)
	wants(t, err, store.ErrNotFound, "Rotate of an unknown ID")
	_, _, err = s.Rotate(t.Context(), "o", "expired", next("in-time", begin.Add(time.Minute-time.Microsecond)), begin.Add(time.Hour), -1)
	wants(t, err, nil, "a record can be rotated until it expires")
}

func rotateDuplicate(t *testing.T, s store.Store) {
	old := full("o", "k")
	insert(t, s, old, fresh("other", "taken"))
	for _, n := range []store.Record{
		{ID: "taken", Digest: digest("n"), CreatedAt: begin},
		{ID: "n", Digest: digest("taken"), CreatedAt: begin},
		{ID: "k", Digest: digest("n"), CreatedAt: begin},
		{ID: "n", Digest: digest("k"), CreatedAt: begin},
	} {
		_, _, err := s.Rotate(t.Context(), "o", "k", n, begin.Add(time.Hour), -1)
		wants(t, err, store.ErrDuplicate, "Rotate to "+n.ID)
	}
	holds(t, s, old, "a refused rotation must change nothing")
	holds(t, s, fresh("other", "taken"), "a refused rotation must change nothing")
}

func rotateLimit(t *testing.T, s store.Store) {
	wants(t, s.Insert(t.Context(), fresh("o", "k"), 1), nil, "the first record is below the limit")
	_, _, err := s.Rotate(t.Context(), "o", "k", next("n", begin), begin.Add(time.Hour), -1)
	wants(t, err, nil, "Rotate at the limit")
	wants(t, s.Insert(t.Context(), fresh("o", "k2"), 1), store.ErrLimit, "the successor must count")
	wants(t, s.Insert(t.Context(), fresh("o", "k2"), 2), nil, "the replaced record must not count")
}

// M-17: a replaced record counts as soon as its direct successor does not.
func rotateKeepsLimit(t *testing.T, s store.Store) {
	ctx, ends := t.Context(), begin.Add(time.Hour)
	wants(t, s.Insert(ctx, fresh("o", "a"), 1), nil, "the first record is below the limit")
	_, _, err := s.Rotate(ctx, "o", "a", next("b", begin), ends, 1)
	wants(t, err, nil, "Rotate with a grace period at the limit")
	counts(t, s, "o", begin, 1, "a replaced record must not count while its successor counts")
	_, _, err = s.Rotate(ctx, "o", "b", next("c", begin), ends, 1)
	wants(t, err, store.ErrConflict, "Rotate with a grace period while the predecessor is in its grace period")
	holds(t, s, get(t, s, "o", "b"), "a refused rotation must change nothing")
	_, err = s.Lookup(ctx, digest("c"))
	wants(t, err, store.ErrNotFound, "a refused rotation must not create a successor")
	counts(t, s, "o", begin, 1, "a refused rotation must change nothing")
	_, _, err = s.Rotate(ctx, "o", "b", next("c", begin), begin, 1)
	wants(t, err, nil, "Rotate without a grace period at the limit")
	counts(t, s, "o", begin, 2, "a record whose successor was replaced must count")
	_, _, err = s.Rotate(ctx, "o", "c", next("d", begin), ends, 1)
	wants(t, err, store.ErrConflict, "Rotate with a grace period above the limit")
	_, _, err = s.Rotate(ctx, "o", "c", next("d", begin), ends, 0)
	wants(t, err, store.ErrConflict, "Rotate with a grace period at a limit of 0")
	_, _, err = s.Rotate(ctx, "o", "c", next("d", begin), ends, 2)
	wants(t, err, nil, "Rotate with a grace period at a limit of 2")
	at := ends // both grace periods have ended
	counts(t, s, "o", at, 1, "a replaced record that has expired must not count")

	insert(t, s, fresh("p", "p1"))
	_, _, err = s.Rotate(ctx, "p", "p1", next("p2", begin), ends, 1)
	wants(t, err, nil, "Rotate with a grace period at the limit")
	revoke(t, s, fresh("p", "p2"), begin, "leaked")
	counts(t, s, "p", begin, 1, "a record whose successor was revoked must count")
	wants(t, s.Insert(ctx, fresh("p", "p3"), 1), store.ErrLimit, "a record whose successor was revoked must count")
}
