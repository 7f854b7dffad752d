package sqlitestore_test

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"sync"
	"testing"
	"time"

	"github.com/keyhatch/keyhatch/store"
	"github.com/keyhatch/keyhatch/store/sqlitestore"
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

func open(t testing.TB, path string) *sqlitestore.Store {
	t.Helper()
	s, err := sqlitestore.Open(t.Context(), path)
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func newFile(t testing.TB) string { return filepath.Join(t.TempDir(), "keys.db") }

func insert(t testing.TB, s store.Store, rs ...store.Record) {
	t.Helper()
	for _, r := range rs {
		if err := s.Insert(t.Context(), r, -1); err != nil {
			t.Fatalf("Insert(%s): %v", r.ID, err)
		}
	}
}

func TestReopenedFileKeepsRecords(t *testing.T) {
	t.Parallel()
	file := newFile(t)
	s, err := sqlitestore.Open(t.Context(), file)
	if err != nil {
		t.Fatal(err)
	}
	want := record("o", "k1")
	insert(t, s, want)
	for range 2 {
		if err := s.Close(); err != nil {
			t.Fatalf("Close: %v", err)
		}
	}
	if _, err := s.Lookup(t.Context(), want.Digest); err == nil || errors.Is(err, store.ErrNotFound) {
		t.Errorf("Lookup after Close: got %v, want an outage", err)
	}
	got, err := open(t, file).Lookup(t.Context(), want.Digest)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("a record must survive Close and Open: got %+v, %v, want %+v", got, err, want)
	}
}

func TestThousandConcurrentCreates(t *testing.T) {
	t.Parallel()
	file := newFile(t)
	stores := []store.Store{open(t, file), open(t, file)}
	var wg sync.WaitGroup
	for i := range 1000 {
		wg.Go(func() {
			r := record(fmt.Sprint("o", i%10), fmt.Sprint("k", i))
			if err := stores[i%2].Insert(t.Context(), r, -1); err != nil {
				t.Errorf("a concurrent create failed: %v", err)
			}
		})
	}
	wg.Wait()
	for i := range 1000 {
		if _, err := stores[1-i%2].Get(t.Context(), fmt.Sprint("o", i%10), fmt.Sprint("k", i)); err != nil {
			t.Fatalf("created record k%d is missing: %v", i, err)
		}
	}
}

func TestNewFileIsReadableOnlyByItsOwner(t *testing.T) {
	t.Parallel()
	file := newFile(t)
	s := open(t, file)
	insert(t, s, record("o", "k1"))
	for _, ending := range []string{"", "-wal", "-shm"} {
		info, err := os.Stat(file + ending)
		if err != nil {
			t.Fatal(err)
		}
		if mode := info.Mode().Perm(); mode != 0o600 {
			t.Errorf("mode of %s: got %o, want 600, since only the owner may read a new file", filepath.Base(file)+ending, mode)
		}
	}
}

func TestExistingFileKeepsItsMode(t *testing.T) {
	t.Parallel()
	file := newFile(t)
	if err := os.WriteFile(file, nil, 0o640); err != nil {
		t.Fatal(err)
	}
	open(t, file)
	info, err := os.Stat(file)
	if err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("Open must keep the mode of an existing file: got %v, %v, want 640", info.Mode().Perm(), err)
	}
}
