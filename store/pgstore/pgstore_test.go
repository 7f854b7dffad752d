package pgstore_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"reflect"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
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

// soak selects the full counts, which take minutes.
var soak = os.Getenv("KEYHATCH_SOAK") != ""

func open(t testing.TB, dsn string, o *pgstore.Options) *pgstore.Store {
	t.Helper()
	s, err := pgstore.Open(t.Context(), dsn, o)
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// newSchema creates a schema that is dropped when the test ends.
func newSchema(t testing.TB, dsn string) string {
	t.Helper()
	name := unique("schema")
	execute(t, dsn, "CREATE SCHEMA "+name)
	t.Cleanup(func() { execute(t, dsn, "DROP SCHEMA "+name+" CASCADE") })
	return name
}

func unique(kind string) string { return fmt.Sprintf("test_%s_%x", kind, rand.Uint64()) }

// execute runs a statement on a connection of its own.
func execute(t testing.TB, dsn, statement string) {
	t.Helper()
	ctx := context.WithoutCancel(t.Context()) // also after the test has ended
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, statement); err != nil {
		t.Fatalf("%s: %v", statement, err)
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

// outage fails unless err is an outage with the cause.
func outage(t *testing.T, err, cause error, what string) {
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
	dsn := shared(t)
	storetest.Run(t, func(t *testing.T) store.Store {
		return open(t, dsn, &pgstore.Options{Schema: newSchema(t, dsn)})
	})
}

// A Store works with every default_query_exec_mode in the data source name.
func TestEveryExecMode(t *testing.T) {
	dsn := shared(t)
	for _, mode := range []string{"cache_describe", "describe_exec", "exec", "simple_protocol"} {
		t.Run(mode, func(t *testing.T) {
			newStore := func(t *testing.T) store.Store {
				return open(t, with(dsn, "default_query_exec_mode="+mode), &pgstore.Options{Schema: newSchema(t, dsn)})
			}
			if soak {
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

func TestReopenedStoreHoldsWhatWasWritten(t *testing.T) {
	t.Parallel()
	dsn := shared(t)
	o := &pgstore.Options{Schema: newSchema(t, dsn), Table: "staging_keys"}
	s := open(t, dsn, o)
	want := record("o", "k1")
	insert(t, s, want)
	if id := query(t, dsn, "SELECT id FROM "+o.Schema+".staging_keys"); id != "k1" {
		t.Errorf("the table of Options.Table has %q, want k1", id)
	}
	for range 2 {
		if err := s.Close(); err != nil {
			t.Fatalf("Close: %v", err)
		}
	}
	_, err := s.Lookup(t.Context(), want.Digest)
	outage(t, err, nil, "a call after Close")
	got, err := open(t, dsn, o).Lookup(t.Context(), want.Digest)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("a record must survive Close and Open: got %+v, %v, want %+v", got, err, want)
	}
}
