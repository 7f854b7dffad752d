package proof_test

import (
	"context"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/keyhatch/keyhatch/store"
)

// reading are the calls that only read.
var reading = map[string]bool{"Lookup": true, "Get": true, "List": true}

// callEach makes one call of each method, on the records k1 and k2 of the owner
// o, and returns the errors by the methods' names.
func callEach(ctx context.Context, s store.Store) map[string]error {
	errs, name := map[string]error{}, "changed"
	errs["Insert"] = s.Insert(ctx, record("o", "k3"), 5)
	_, errs["Lookup"] = s.Lookup(ctx, record("o", "k1").Digest)
	_, errs["Get"] = s.Get(ctx, "o", "k1")
	_, errs["List"] = s.List(ctx, store.Query{Owner: "o"})
	_, errs["Update"] = s.Update(ctx, "o", "k1", store.Change{At: epoch, Name: &name})
	_, _, errs["Rotate"] = s.Rotate(ctx, "o", "k1", record("", "k4"), epoch)
	_, _, errs["Revoke"] = s.Revoke(ctx, "o", "k2", epoch, "leaked")
	_, errs["RevokeAll"] = s.RevokeAll(ctx, "o", epoch, "closed")
	errs["Touch"] = s.Touch(ctx, []store.Use{{Digest: record("o", "k1").Digest, At: epoch}})
	return errs
}

// allFail fails unless each call is an outage whose error has the text.
func allFail(t testing.TB, errs map[string]error, cause string) {
	t.Helper()
	for call, err := range errs {
		outage(t, err, call)
		if err != nil && !strings.Contains(err.Error(), cause) {
			t.Errorf("%s: the error does not name its cause: got %v, want %q in it", call, err, cause)
		}
	}
}

// writesFail is the same for a store that can still be read.
func writesFail(t testing.TB, errs map[string]error, cause string) {
	t.Helper()
	for call := range reading {
		if err := errs[call]; err != nil {
			t.Errorf("%s of a store that can be read: %v", call, err)
		}
		delete(errs, call)
	}
	allFail(t, errs, cause)
}

// twoKeys are what a store has before something goes wrong.
func twoKeys(t testing.TB, s store.Store) map[string]store.Record {
	t.Helper()
	insert(t, s, record("o", "k1"), record("o", "k2"))
	return map[string]store.Record{"k1": record("o", "k1"), "k2": record("o", "k2")}
}

// recovered fails unless the store has what it had, and every call works again.
func recovered(t *testing.T, s store.Store, had map[string]store.Record) {
	t.Helper()
	has := recordsOf(t, s, "o")
	for id, r := range has {
		r.LastUsedAt = time.Time{} // which may have been written meanwhile
		has[id] = r
	}
	if !reflect.DeepEqual(has, had) {
		t.Errorf("once the fault is gone the store has %+v, want %+v", has, had)
	}
	for call, err := range callEach(t.Context(), s) {
		if err != nil {
			t.Errorf("%s once the fault is gone: %v", call, err)
		}
	}
}
