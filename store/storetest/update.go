package storetest

import (
	"testing"
	"time"

	"github.com/keyhatch/keyhatch/store"
)

var updateRules = []rule{
	{"Update changes the fields named and no others", updateOnlyNamed},
	{"Update of nothing changes nothing", updateNothing},
	{"Update never changes a revoked record", updateRevoked},
	{"Update does not move an expiry that has come", updateEnded},
	{"Update of an unknown key is not found", updateUnknown},
}

func full(owner, id string) store.Record {
	r := fresh(owner, id)
	r.ExpiresAt, r.LastUsedAt = begin.Add(time.Hour), begin.Add(time.Second)
	return r
}

func updateOnlyNamed(t *testing.T, s store.Store) {
	want := full("o", "k")
	insert(t, s, want)
	name, empty, later, at, never := "renamed", "", begin.Add(48*time.Hour), begin.Add(time.Minute), time.Time{}
	for _, c := range []struct {
		what   string
		change store.Change
		expect func()
	}{
		{"the name", store.Change{Name: &name}, func() { want.Name = name }},
		{"the name away", store.Change{Name: &empty}, func() { want.Name = "" }},
		{"scopes", store.Change{Scopes: []string{"b", "a"}}, func() { want.Scopes = []string{"b", "a"} }},
		{"scopes away", store.Change{Scopes: []string{}}, func() { want.Scopes = nil }},
		{"metadata", store.Change{Metadata: map[string]string{"a": "b"}}, func() { want.Metadata = map[string]string{"a": "b"} }},
		{"metadata away", store.Change{Metadata: map[string]string{}}, func() { want.Metadata = nil }},
		{"the expiry", store.Change{ExpiresAt: &later}, func() { want.ExpiresAt = later }},
		{"the expiry away", store.Change{ExpiresAt: &never}, func() { want.ExpiresAt = never }},
		{"disabled", store.Change{DisabledAt: &at}, func() { want.DisabledAt = at }},
		{"enabled", store.Change{DisabledAt: &never}, func() { want.DisabledAt = never }},
		{"everything", store.Change{Name: &name, Scopes: []string{"c"}, Metadata: map[string]string{"d": ""}, ExpiresAt: &later, DisabledAt: &at}, func() {
			want.Name, want.Scopes, want.Metadata, want.ExpiresAt, want.DisabledAt = name, []string{"c"}, map[string]string{"d": ""}, later, at
		}},
	} {
		c.change.At = at
		got := update(t, s, want, c.change)
		c.expect()
		equal(t, got, want, "Update returns the record as it now is: "+c.what)
		holds(t, s, want, "Update changes what is named: "+c.what)
	}
}

func updateNothing(t *testing.T, s store.Store) {
	r := full("o", "k")
	insert(t, s, r)
	equal(t, update(t, s, r, store.Change{At: begin}), r, "Update returns the record")
	holds(t, s, r, "a change that names nothing changes nothing")
}

func updateRevoked(t *testing.T, s store.Store) {
	r := full("o", "k")
	insert(t, s, r)
	r = revoke(t, s, r, begin, "leaked")
	name, never := "renamed", time.Time{}
	for what, c := range map[string]store.Change{
		"the name": {Name: &name}, "enabled": {DisabledAt: &never}, "the expiry": {ExpiresAt: &never},
		"scopes": {Scopes: []string{"*"}}, "metadata": {Metadata: map[string]string{}}, "nothing": {},
	} {
		_, err := s.Update(t.Context(), "o", "k", c)
		wants(t, err, store.ErrConflict, "a revoked record never changes: "+what)
	}
	holds(t, s, r, "a revoked record never changes")
}

func updateEnded(t *testing.T, s store.Store) {
	expired, replaced := full("o", "expired"), full("o", "replaced")
	insert(t, s, expired, replaced)
	replaced, _, err := s.Rotate(t.Context(), "o", "replaced", next("n", begin), begin.Add(time.Minute), -1)
	if err != nil {
		t.Fatal(err)
	}
	later, never, name := begin.Add(48*time.Hour), time.Time{}, "renamed"
	for _, to := range []*time.Time{&later, &never} {
		_, err := s.Update(t.Context(), "o", "expired", store.Change{At: expired.ExpiresAt, ExpiresAt: to})
		wants(t, err, store.ErrConflict, "what has expired is not revived")
		_, err = s.Update(t.Context(), "o", "replaced", store.Change{At: begin, ExpiresAt: to})
		wants(t, err, store.ErrConflict, "what was replaced does not outlive its grace")
		_, err = s.Update(t.Context(), "o", "expired", store.Change{At: expired.ExpiresAt, ExpiresAt: to, Name: &name})
		wants(t, err, store.ErrConflict, "a change takes effect in full or not at all")
	}
	holds(t, s, expired, "a refused change changes nothing")
	holds(t, s, replaced, "a refused change changes nothing")

	expired.Name = name
	equal(t, update(t, s, expired, store.Change{At: expired.ExpiresAt, Name: &name}), expired, "other fields of an expired record change")

	// Of another owner, for whom the expiry has not come yet.
	soon := full("p", "soon")
	insert(t, s, soon)
	before := soon.ExpiresAt.Add(-time.Microsecond)
	soon.ExpiresAt = later
	equal(t, update(t, s, soon, store.Change{At: before, ExpiresAt: &later}), soon, "until its expiry has come a record's expiry can move")
}

func updateUnknown(t *testing.T, s store.Store) {
	name := "renamed"
	_, err := s.Update(t.Context(), "o", "k", store.Change{At: begin, Name: &name})
	wants(t, err, store.ErrNotFound, "Update of an unknown key")
	_, err = s.Get(t.Context(), "o", "k")
	wants(t, err, store.ErrNotFound, "Update creates nothing")
}
