// Package storetest checks that a [store.Store] does everything that the interface
// promises. Run it in a test of the store:
//
//	func TestStore(t *testing.T) {
//		storetest.Run(t, func(t *testing.T) store.Store { return mystore.New(…) })
//	}
//
// A failure states the rule that was broken. Rules that use random calls run a few
// times, or thousands of times if the environment variable KEYHATCH_SOAK is set.
//
// [Crash] and [CrashServer] check, in tests of their own, that acknowledged writes
// survive the death of the process or the server. The suite does not check that
// several processes can share a database, or that writes survive a power failure.
package storetest

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/keyhatch/keyhatch/store"
)

// Run runs the suite. Each rule is a subtest with a store of its own. newStore must
// return an empty store, and close it with t.Cleanup. Subtests run in parallel, so
// several stores are in use at once.
func Run(t *testing.T, newStore func(t *testing.T) store.Store) {
	t.Helper()
	for _, rules := range [][]rule{insertRules, readRules, listRules, filterRules, updateRules, revokeRules, rotateRules, revocationRules, touchRules, callRules, raceRules, historyRules} {
		for _, r := range rules {
			t.Run(r.name, func(t *testing.T) {
				t.Parallel()
				r.check(t, newStore(t))
			})
		}
	}
}

// A rule is one promise of the interface.
type rule struct {
	name  string
	check func(t *testing.T, s store.Store)
}

// begin is the time at which the suite creates its records. Stores have no clock.
var begin = time.Date(2026, 3, 1, 12, 30, 15, 123456000, time.UTC)

// fresh returns a record with every field that a new record can have.
func fresh(owner, id string) store.Record {
	return store.Record{
		ID: id, Owner: owner, Name: "name of " + id, Hint: "key_ab12", CreatedBy: "admin of " + owner,
		Digest: digest(id), Scopes: []string{"reports:read", "reports:*"},
		Metadata: map[string]string{"env": "production", "team": "ünïcode 日本"}, CreatedAt: begin,
	}
}

func digest(id string) store.Digest { return sha256.Sum256([]byte(id)) }

func insert(t *testing.T, s store.Store, rs ...store.Record) {
	t.Helper()
	for _, r := range rs {
		if err := s.Insert(t.Context(), r, -1); err != nil {
			t.Fatalf("Insert(%s): %v", r.ID, err)
		}
	}
}

// get returns the stored record.
func get(t *testing.T, s store.Store, owner, id string) store.Record {
	t.Helper()
	r, err := s.Get(t.Context(), owner, id)
	if err != nil {
		t.Fatalf("Get(%s, %s): %v", owner, id, err)
	}
	return r
}

// holds fails the test unless the store returns want by digest and by ID.
func holds(t *testing.T, s store.Store, want store.Record, rule string) {
	t.Helper()
	equal(t, get(t, s, want.Owner, want.ID), want, rule)
	r, err := s.Lookup(t.Context(), want.Digest)
	if err != nil {
		t.Fatalf("%s: Lookup: %v", rule, err)
	}
	equal(t, r, want, rule)
}

// equal compares records. A store need not distinguish nil from empty.
func equal(t *testing.T, got, want store.Record, rule string) {
	t.Helper()
	if !same(got, want) {
		t.Errorf("%s:\n got %+v\nwant %+v", rule, got, want)
	}
	for _, at := range []time.Time{got.CreatedAt, got.ExpiresAt, got.DisabledAt, got.RevokedAt, got.LastUsedAt} {
		if at.Location() != time.UTC {
			t.Errorf("times must be in UTC: got %v", at)
		}
	}
}

func same(a, b store.Record) bool {
	return a.ID == b.ID && a.Owner == b.Owner && a.Name == b.Name && a.Hint == b.Hint &&
		a.CreatedBy == b.CreatedBy && a.RevokeReason == b.RevokeReason && a.ReplacedBy == b.ReplacedBy &&
		a.Digest == b.Digest && slices.Equal(a.Scopes, b.Scopes) && maps.Equal(a.Metadata, b.Metadata) &&
		a.CreatedAt.Equal(b.CreatedAt) && a.ExpiresAt.Equal(b.ExpiresAt) && a.DisabledAt.Equal(b.DisabledAt) &&
		a.RevokedAt.Equal(b.RevokedAt) && a.LastUsedAt.Equal(b.LastUsedAt)
}

// wants fails the test unless err matches the sentinel.
func wants(t *testing.T, err, sentinel error, rule string) {
	t.Helper()
	if !errors.Is(err, sentinel) {
		t.Errorf("%s: got %v, want %v", rule, err, sentinel)
	}
}

// sentinels lists the errors that say something about a record; any other error counts as
// an outage.
var sentinels = []error{store.ErrNotFound, store.ErrDuplicate, store.ErrLimit, store.ErrConflict}

func isSentinel(err error) bool {
	return slices.ContainsFunc(sentinels, func(s error) bool { return errors.Is(err, s) })
}

func revoke(t *testing.T, s store.Store, r store.Record, at time.Time, reason string) store.Record {
	t.Helper()
	r, _, err := s.Revoke(t.Context(), r.Owner, r.ID, at, reason)
	if err != nil {
		t.Fatalf("Revoke(%s): %v", r.ID, err)
	}
	return r
}

func update(t *testing.T, s store.Store, r store.Record, c store.Change) store.Record {
	t.Helper()
	r, err := s.Update(t.Context(), r.Owner, r.ID, c)
	if err != nil {
		t.Fatalf("Update: %v", err)
	}
	return r
}

// next returns a successor with the fields that a caller of Rotate must set.
func next(id string, at time.Time) store.Record {
	return store.Record{ID: id, Digest: digest(id), Hint: "key_" + id, CreatedAt: at}
}

// calls calls every method on the record r, and returns their errors.
func calls(ctx context.Context, s store.Store, r store.Record) map[string]error {
	name := "changed"
	_, lookup := s.Lookup(ctx, r.Digest)
	_, get := s.Get(ctx, r.Owner, r.ID)
	_, list := s.List(ctx, store.Query{Owner: r.Owner})
	_, filtered := s.List(ctx, store.Query{Owner: r.Owner, Filter: store.FilterCurrent, At: begin})
	_, count := s.Count(ctx, r.Owner, begin)
	_, update := s.Update(ctx, r.Owner, r.ID, store.Change{At: begin, Name: &name})
	_, _, revoke := s.Revoke(ctx, r.Owner, r.ID, begin, "called")
	_, all := s.RevokeAll(ctx, r.Owner, begin, "called")
	_, _, rotate := s.Rotate(ctx, r.Owner, r.ID, next(r.ID+"-next", begin), begin.Add(time.Hour), -1)
	return map[string]error{
		"Insert": s.Insert(ctx, fresh(r.Owner, r.ID+"-other"), -1),
		"Lookup": lookup, "Get": get, "List": list, "filtered List": filtered, "Count": count, "Update": update, "Revoke": revoke,
		"RevokeAll": all, "Rotate": rotate,
		"Touch": s.Touch(ctx, []store.Use{{Digest: r.Digest, At: begin.Add(time.Minute)}}),
	}
}

// counts fails the test unless Count returns want.
func counts(t *testing.T, s store.Store, owner string, at time.Time, want int, rule string) {
	t.Helper()
	if n, err := s.Count(t.Context(), owner, at); n != want || err != nil {
		t.Errorf("Count: %s: got %d, %v, want %d", rule, n, err, want)
	}
}

func ids(rs []store.Record) (ids []string) {
	for _, r := range rs {
		ids = append(ids, r.ID)
	}
	return ids
}

// soak reports whether to run the full number of rounds, which takes minutes with a
// database.
var soak = os.Getenv("KEYHATCH_SOAK") != ""

func count(short, full int) int {
	if soak {
		return full
	}
	return short
}

func numbered(prefix string, n int) string { return fmt.Sprintf("%s%03d", prefix, n) }
