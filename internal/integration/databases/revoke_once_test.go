package databases_test

import (
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/keyhatch/keyhatch/internal/testkit"
	"github.com/keyhatch/keyhatch/store"
	"github.com/keyhatch/keyhatch/store/sqlstore"
)

// on PostgreSQL, Revoke sends one statement in its transaction, so that it works over a slow
// connection.
func TestRevokeIsOneStatement(t *testing.T) {
	t.Parallel()
	db, sent := recorded(t, postgresConnector(t, testkit.UseSchema(t)))
	s := sqlStore(t, sqlstore.PostgreSQL, db)
	insert(t, s, record("o", "k1"))
	sent.seen = nil
	at := epoch.Add(time.Hour)
	r, changed, err := s.Revoke(t.Context(), "o", "k1", at, "leaked")
	if err != nil || !changed {
		t.Fatalf("got %v, %v, want the key revoked", changed, err)
	}
	if len(sent.seen) != 1 {
		t.Errorf("got %d statements, want 1: %+v", len(sent.seen), sent.seen)
	}
	want := record("o", "k1")
	want.RevokedAt, want.RevokeReason = at, "leaked"
	if got := recordsOf(t, s, "o")["k1"]; !reflect.DeepEqual(got, want) || !reflect.DeepEqual(r, want) {
		t.Errorf("got %+v and %+v, want %+v", r, got, want)
	}
	if n := revocations(t, s).Count; n != 1 {
		t.Errorf("got a count of %d, want 1", n)
	}
	// A later write with a slower clock uses the time of the revocation.
	short := record("o", "short")
	short.ExpiresAt = epoch.Add(time.Minute)
	if err := s.Insert(t.Context(), short, -1); !errors.Is(err, store.ErrConflict) {
		t.Errorf("Insert of a key that expired before the revocation: got %v, want %v", err, store.ErrConflict)
	}
}
