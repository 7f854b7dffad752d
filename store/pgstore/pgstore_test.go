package pgstore_test

import (
	"crypto/sha256"
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/keyhatch/keyhatch/internal/testkit"
	"github.com/keyhatch/keyhatch/store"
	"github.com/keyhatch/keyhatch/store/pgstore"
	"github.com/keyhatch/keyhatch/store/storetest"
)

var epoch = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// record returns a full record that depends only on owner and id.
func record(owner, id string) store.Record {
	return store.Record{
		ID: id, Owner: owner, Name: "name of " + id, Hint: "key_ab", CreatedBy: "by " + owner,
		Digest: sha256.Sum256([]byte(id)), Scopes: []string{"a:read", id},
		Metadata: map[string]string{"id": id}, CreatedAt: epoch,
	}
}

func open(t testing.TB, dsn string, o *pgstore.Options) *pgstore.Store {
	t.Helper()
	s, err := pgstore.Open(t.Context(), dsn, o)
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func insert(t testing.TB, s store.Store, rs ...store.Record) {
	t.Helper()
	for _, r := range rs {
		if err := s.Insert(t.Context(), r, -1); err != nil {
			t.Fatalf("Insert(%s): %v", r.ID, err)
		}
	}
}

// wantOutage fails unless err counts as an outage with the cause.
func wantOutage(t *testing.T, err, cause error, what string) {
	t.Helper()
	for _, sentinel := range []error{store.ErrNotFound, store.ErrDuplicate, store.ErrLimit, store.ErrConflict} {
		if errors.Is(err, sentinel) {
			t.Errorf("%s: got %v, want an error that is none of the sentinels", what, err)
		}
	}
	if err == nil || cause != nil && !errors.Is(err, cause) {
		t.Errorf("%s: got %v, want %v", what, err, cause)
	}
}

func TestStore(t *testing.T) {
	t.Parallel()
	dsn := testkit.UsePostgreSQL(t)
	storetest.Run(t, func(t *testing.T) store.Store {
		return open(t, dsn, &pgstore.Options{Schema: testkit.CreateSchema(t, dsn)})
	})
}

// A Store works with every default_query_exec_mode in the data source name.
func TestEveryExecMode(t *testing.T) {
	t.Parallel()
	dsn := testkit.UsePostgreSQL(t)
	for _, mode := range []string{"cache_describe", "describe_exec", "exec", "simple_protocol"} {
		t.Run(mode, func(t *testing.T) {
			newStore := func(t *testing.T) store.Store {
				return open(t, addParam(dsn, "default_query_exec_mode="+mode), &pgstore.Options{Schema: testkit.CreateSchema(t, dsn)})
			}
			if testkit.Soak() {
				storetest.Run(t, newStore)
			}
			for what, err := range everyCall(t, newStore(t)) {
				if err != nil {
					t.Errorf("%s: %v", what, err)
				}
			}
		})
	}
}

func TestReopenedStoreKeepsRecords(t *testing.T) {
	t.Parallel()
	dsn := testkit.UsePostgreSQL(t)
	o := &pgstore.Options{Schema: testkit.CreateSchema(t, dsn), Table: "staging_keys"}
	s := open(t, dsn, o)
	want := record("o", "k1")
	insert(t, s, want)
	if id := query(t, dsn, "SELECT id FROM "+o.Schema+".staging_keys"); id != "k1" {
		t.Errorf("record in the table of Options.Table: got %q, want k1", id)
	}
	for range 2 {
		if err := s.Close(); err != nil {
			t.Fatalf("Close: %v", err)
		}
	}
	_, err := s.Lookup(t.Context(), want.Digest)
	wantOutage(t, err, nil, "a call after Close")
	got, err := open(t, dsn, o).Lookup(t.Context(), want.Digest)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("a record must survive Close and Open: got %+v, %v, want %+v", got, err, want)
	}
}
