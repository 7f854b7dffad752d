package storetest

import (
	"testing"
	"time"

	"github.com/keyhatch/keyhatch/store"
)

var updateRules = []rule{
	{"Update changes only the fields that are set", updateOnlyNamed},
	{"Update without a field changes nothing", updateNothing},
	{"Update never changes a revoked record", updateRevoked},
	{"Update never moves an expiry that has passed or ends a grace period", updateEnded},
	{"Update returns ErrNotFound for an unknown ID", updateUnknown},
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
		{"the name removed", store.Change{Name: &empty}, func() { want.Name = "" }},
		{"scopes", store.Change{Scopes: []string{"b", "a"}}, func() { want.Scopes = []string{"b", "a"} }},
		{"scopes removed", store.Change{Scopes: []string{}}, func() { want.Scopes = nil }},
		{"metadata", store.Change{Metadata: map[string]string{"a": "b"}}, func() { want.Metadata = map[string]string{"a": "b"} }},
		{"metadata removed", store.Change{Metadata: map[string]string{}}, func() { want.Metadata = nil }},
		{"the expiry", store.Change{ExpiresAt: &later}, func() { want.ExpiresAt = later }},
		{"the expiry removed", store.Change{ExpiresAt: &never}, func() { want.ExpiresAt = never }},
		{"disabled", store.Change{DisabledAt: &at}, func() { want.DisabledAt = at }},
		{"enabled", store.Change{DisabledAt: &never}, func() { want.DisabledAt = never }},
		{"everything", store.Change{Name: &name, Scopes: []string{"c"}, Metadata: map[string]string{"d": ""}, ExpiresAt: &later, DisabledAt: &at}, func() {
			want.Name, want.Scopes, want.Metadata, want.ExpiresAt, want.DisabledAt = name, []string{"c"}, map[string]string{"d": ""}, later, at
		}},
	} {
		c.change.At = at
		got := update(t, s, want, c.change)
		c.expect()
		equal(t, got, want, "Update must return the record as stored: "+c.what)
		holds(t, s, want, "Update must change only the fields that are set: "+c.what)
	}
}

func updateNothing(t *testing.T, s store.Store) {
	r := full("o", "k")
	insert(t, s, r)
	equal(t, update(t, s, r, store.Change{At: begin}), r, "Update must return the record")
	holds(t, s, r, "a change without a field must change nothing")
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
		wants(t, err, store.ErrConflict, "a revoked record must never change: "+what)
	}
	holds(t, s, r, "a revoked record must never change")
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
		wants(t, err, store.ErrConflict, "an expired record must not be revived")
		_, err = s.Update(t.Context(), "o", "replaced", store.Change{At: begin, ExpiresAt: to})
		wants(t, err, store.ErrConflict, "a replaced record must not outlive its grace period")
		_, err = s.Update(t.Context(), "o", "expired", store.Change{At: expired.ExpiresAt, ExpiresAt: to, Name: &name})
		wants(t, err, store.ErrConflict, "a change must take effect in full or not at all")
	}
	holds(t, s, expired, "a refused change must change nothing")
	holds(t, s, replaced, "a refused change must change nothing")

	expired.Name = name
	equal(t, update(t, s, expired, store.Change{At: expired.ExpiresAt, Name: &name}), expired, "other fields of an expired record can change")

	// For this owner, the expiry has not passed yet.
	soon := full("p", "soon")
	insert(t, s, soon)
	before := soon.ExpiresAt.Add(-time.Microsecond)
	soon.ExpiresAt = later
	equal(t, update(t, s, soon, store.Change{At: before, ExpiresAt: &later}), soon, "an expiry can move until it has passed")
}

func updateUnknown(t *testing.T, s store.Store) {
	name := "renamed"
	_, err := s.Update(t.Context(), "o", "k", store.Change{At: begin, Name: &name})
	wants(t, err, store.ErrNotFound, "Update of an unknown ID")
	_, err = s.Get(t.Context(), "o", "k")
	wants(t, err, store.ErrNotFound, "Update must not create a record")
}
