package storetest

import (
	"testing"
	"time"

	"github.com/keyhatch/keyhatch/store"
)

var readRules = []rule{
	{"Lookup finds records in every state", lookupFindsAll},
	{"Lookup and Get return ErrNotFound for an unknown digest or ID", readsNotFound},
	{"Another owner's record is not found and not changed", otherOwner},
}

func lookupFindsAll(t *testing.T, s store.Store) {
	expired, disabled, revoked := fresh("o", "expired"), fresh("o", "disabled"), fresh("o", "revoked")
	expired.ExpiresAt = begin.Add(-time.Hour)
	disabled.DisabledAt = begin
	insert(t, s, expired, disabled, revoked)
	revoked = revoke(t, s, revoked, begin, "leaked")
	for _, want := range []store.Record{expired, disabled, revoked} {
		holds(t, s, want, "Lookup must return expired, disabled and revoked records")
	}
}

func readsNotFound(t *testing.T, s store.Store) {
	insert(t, s, fresh("o", "k"))
	_, err := s.Lookup(t.Context(), digest("other"))
	wants(t, err, store.ErrNotFound, "Lookup of an unknown digest")
	_, err = s.Lookup(t.Context(), store.Digest{})
	wants(t, err, store.ErrNotFound, "Lookup of the zero digest")
	near := digest("k")
	near[31] ^= 1
	_, err = s.Lookup(t.Context(), near)
	wants(t, err, store.ErrNotFound, "Lookup of a digest that differs in one bit")
	for _, id := range []string{"", "other", "K", "k ", " k", "k%", "_"} {
		_, err := s.Get(t.Context(), "o", id)
		wants(t, err, store.ErrNotFound, "Get of the unknown ID "+id)
	}
}

// Advisories 4, 7 and 16: GHSA-wcr3-9x4c-f5gj, CVE-2024-37905, CVE-2023-24999. M-01.
func otherOwner(t *testing.T, s store.Store) {
	r := fresh("alice", "k")
	insert(t, s, r, fresh("bob", "kb"))
	for _, owner := range []string{"bob", "", "Alice", "alice ", "%", "alic_"} {
		name := "stolen"
		_, get := s.Get(t.Context(), owner, "k")
		_, update := s.Update(t.Context(), owner, "k", store.Change{At: begin, Name: &name})
		_, changed, revoke := s.Revoke(t.Context(), owner, "k", begin, "stolen")
		_, _, rotate := s.Rotate(t.Context(), owner, "k", next("n", begin), begin, -1)
		for call, err := range map[string]error{"Get": get, "Update": update, "Revoke": revoke, "Rotate": rotate} {
			wants(t, err, store.ErrNotFound, call+" as "+owner)
		}
		if changed {
			t.Error("Revoke as another owner must not return changed")
		}
	}
	if _, err := s.RevokeAll(t.Context(), "bob", begin, "gone"); err != nil {
		t.Fatal(err)
	}
	page, err := s.List(t.Context(), store.Query{Owner: "bob"})
	if err != nil || len(page.Records) != 1 || page.Records[0].Owner != "bob" {
		t.Errorf("List must return only the owner's records: got %+v, %v", page, err)
	}
	_, err = s.Lookup(t.Context(), digest("n"))
	wants(t, err, store.ErrNotFound, "a refused rotation must not create a record")
	holds(t, s, r, "calls as another owner must change nothing")
}
