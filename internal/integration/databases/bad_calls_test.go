package databases_test

import (
	"context"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/keyhatch/keyhatch/store"
)

// reading lists the names of calls that only read.
var reading = map[string]bool{"Lookup": true, "Get": true, "List": true, "Count": true}

// callEach calls each method once, with the records of someKeys, and returns the errors by the
// methods' names.
func callEach(ctx context.Context, s store.Store) map[string]error {
	errs := map[string]error{}
	for name, call := range calls {
		errs[name] = call(ctx, s)
	}
	return errs
}

// calls can each be made once, in any order.
var calls = map[string]func(context.Context, store.Store) error{
	"Insert": func(ctx context.Context, s store.Store) error { return s.Insert(ctx, record("o", "k4"), 50) },
	"Lookup": func(ctx context.Context, s store.Store) error {
		_, err := s.Lookup(ctx, record("o", "k1").Digest)
		return err
	},
	"Get": func(ctx context.Context, s store.Store) error {
		_, err := s.Get(ctx, "o", "k1")
		return err
	},
	"List": func(ctx context.Context, s store.Store) error {
		_, err := s.List(ctx, store.Query{Owner: "o"})
		return err
	},
	"Count": func(ctx context.Context, s store.Store) error {
		_, err := s.Count(ctx, "o", epoch)
		return err
	},
	"Update": func(ctx context.Context, s store.Store) error {
		name := "changed"
		_, err := s.Update(ctx, "o", "k1", store.Change{At: epoch, Name: &name})
		return err
	},
	"Rotate": func(ctx context.Context, s store.Store) error {
		_, _, err := s.Rotate(ctx, "o", "k2", record("", "k5"), epoch.Add(time.Hour), -1)
		return err
	},
	"Revoke": func(ctx context.Context, s store.Store) error {
		_, _, err := s.Revoke(ctx, "o", "k3", epoch, "leaked")
		return err
	},
	"RevokeAll": func(ctx context.Context, s store.Store) error {
		_, err := s.RevokeAll(ctx, "p", epoch, "closed")
		return err
	},
	"Touch": func(ctx context.Context, s store.Store) error {
		return s.Touch(ctx, []store.Use{{Digest: record("o", "k1").Digest, At: epoch}})
	},
}

// allFail fails the test unless each call returns an outage error that contains cause.
func allFail(t testing.TB, errs map[string]error, cause string) {
	t.Helper()
	for call, err := range errs {
		outage(t, err, call)
		if err != nil && !strings.Contains(err.Error(), cause) {
			t.Errorf("%s: the error does not name its cause: got %v, want %q in it", call, err, cause)
		}
	}
}

// writesFail is like allFail, for a store that can still be read.
func writesFail(t testing.TB, errs map[string]error, cause string) {
	t.Helper()
	for call := range reading {
		if err := errs[call]; err != nil {
			t.Errorf("%s of a store that can be read: got %v", call, err)
		}
		delete(errs, call)
	}
	allFail(t, errs, cause)
}

// someKeys inserts and returns the records that a store has before a fault.
func someKeys(t testing.TB, s store.Store) (had map[string]store.Record) {
	t.Helper()
	had = map[string]store.Record{}
	for _, id := range []string{"k1", "k2", "k3"} {
		had[id] = record("o", id)
		insert(t, s, had[id])
	}
	insert(t, s, record("p", "p1"))
	return had
}

// recovered fails the test unless the store has the same records as before, and every call works
// again.
func recovered(t *testing.T, s store.Store, had map[string]store.Record) {
	t.Helper()
	has := recordsOf(t, s, "o")
	for id, r := range has {
		r.LastUsedAt = time.Time{} // it may have been written meanwhile
		has[id] = r
	}
	if !reflect.DeepEqual(has, had) {
		t.Errorf("records after the fault: got %+v, want %+v", has, had)
	}
	for call, err := range callEach(t.Context(), s) {
		if err != nil {
			t.Errorf("%s after the fault: %v", call, err)
		}
	}
}
