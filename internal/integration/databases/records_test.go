package databases_test

import (
	"crypto/sha256"
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/keyhatch/keyhatch/store"
)

var epoch = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// record returns a record with all fields, which depend only on the owner and the ID.
func record(owner, id string) store.Record {
	return store.Record{
		ID: id, Owner: owner, Name: "name of " + id, Hint: "key_ab", CreatedBy: "by " + owner,
		Digest: sha256.Sum256([]byte(id)), Scopes: []string{"a:read", id},
		Metadata: map[string]string{"id": id}, CreatedAt: epoch,
	}
}

func insert(t testing.TB, s store.Store, rs ...store.Record) {
	t.Helper()
	for _, r := range rs {
		if err := s.Insert(t.Context(), r, -1); err != nil {
			t.Fatalf("Insert(%s): %v", r.ID, err)
		}
	}
}

// works calls every method of an empty store once.
func works(t testing.TB, s store.Store) {
	t.Helper()
	ctx := t.Context()
	k1, k2 := record("o", "k1"), record("o", "k2")
	insert(t, s, k1, k2)
	if err := s.Insert(ctx, record("o", "k3"), 2); !errors.Is(err, store.ErrLimit) {
		t.Errorf("Insert at the limit: got %v, want %v", err, store.ErrLimit)
	}
	if err := s.Insert(ctx, k1, -1); !errors.Is(err, store.ErrDuplicate) {
		t.Errorf("Insert again: got %v, want %v", err, store.ErrDuplicate)
	}
	at := epoch.Add(time.Minute)
	if err := s.Touch(ctx, []store.Use{{Digest: k1.Digest, At: at}}); err != nil {
		t.Errorf("Touch: %v", err)
	}
	name := "changed"
	_, err := s.Update(ctx, "o", "k1", store.Change{At: at, Name: &name})
	k1.LastUsedAt, k1.Name = at, name
	if r, lookup := s.Lookup(ctx, k1.Digest); !reflect.DeepEqual(r, k1) || err != nil || lookup != nil {
		t.Errorf("Update and Lookup: got %+v, %v, %v, want %+v", r, err, lookup, k1)
	}
	if r, changed, err := s.Revoke(ctx, "o", "k1", at, "leaked"); !r.RevokedAt.Equal(at) || !changed || err != nil {
		t.Errorf("Revoke: got %+v, %v, %v", r, changed, err)
	}
	if _, now, err := s.Rotate(ctx, "o", "k2", record("", "k3"), at.Add(time.Hour), -1); now.Name != k2.Name || err != nil {
		t.Errorf("Rotate: got %+v, %v", now, err)
	}
	if rs, err := s.RevokeAll(ctx, "o", at, "closed"); len(rs) != 2 || err != nil {
		t.Errorf("RevokeAll: got %+v, %v, want two records", rs, err)
	}
	page, err := s.List(ctx, store.Query{Owner: "o"})
	if len(page.Records) != 3 || err != nil {
		t.Errorf("List: got %+v, %v, want three records", page, err)
	}
	for _, r := range page.Records {
		if r.RevokedAt.IsZero() {
			t.Errorf("status of %s after RevokeAll: want revoked", r.ID)
		}
	}
}

// outage fails the test unless err counts as an outage.
func outage(t testing.TB, err error, what string) {
	t.Helper()
	if err == nil || isSentinel(err) || errors.Is(err, store.ErrBusy) {
		t.Errorf("%s: got %v, want an error other than the sentinels", what, err)
	}
}

// isSentinel reports whether err matches a sentinel of package store.
func isSentinel(err error) bool {
	return errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrDuplicate) ||
		errors.Is(err, store.ErrLimit) || errors.Is(err, store.ErrConflict)
}
