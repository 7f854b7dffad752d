package proof_test

import (
	"crypto/sha256"
	"errors"
	"os"
	"testing"
	"time"

	"github.com/keyhatch/keyhatch/store"
)

var epoch = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// record is a whole record, all of which follows from its owner and id.
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

// outage fails unless err is one.
func outage(t testing.TB, err error, what string) {
	t.Helper()
	if err == nil || isSentinel(err) {
		t.Errorf("%s: got %v, want an error that is none of the sentinels", what, err)
	}
}

// isSentinel reports whether err says something about a record.
func isSentinel(err error) bool {
	return errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrDuplicate) ||
		errors.Is(err, store.ErrLimit) || errors.Is(err, store.ErrConflict)
}

// soak asks for the full counts, which take minutes.
var soak = os.Getenv("KEYHATCH_SOAK") != ""

func count(short, full int) int {
	if soak {
		return full
	}
	return short
}
