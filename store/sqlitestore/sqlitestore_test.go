package sqlitestore_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/keyhatch/keyhatch/store"
	"github.com/keyhatch/keyhatch/store/sqlitestore"
	"github.com/keyhatch/keyhatch/store/sqlstore"
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

func TestReopenedFileHoldsWhatWasWritten(t *testing.T) {
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
		t.Errorf("a closed store answers as if it knew: got %v, want an outage", err)
	}
	got, err := open(t, file).Lookup(t.Context(), want.Digest)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("a record does not survive closing: got %+v, %v, want %+v", got, err, want)
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
				t.Errorf("a create among many fails: %v", err)
			}
		})
	}
	wg.Wait()
	for i := range 1000 {
		if _, err := stores[1-i%2].Get(t.Context(), fmt.Sprint("o", i%10), fmt.Sprint("k", i)); err != nil {
			t.Fatalf("a created record is missing: k%d: %v", i, err)
		}
	}
}

// A call that has to wait for another process keeps its turn: did it have to wait
// for the connection again each time, some of many would wait for ever.
func TestWaitingForTheLockKeepsTheTurn(t *testing.T) {
	t.Parallel()
	file := newFile(t)
	s, other := open(t, file), raw(t, file)
	execute(t, other, "CREATE TABLE log (n INTEGER PRIMARY KEY, id TEXT)")
	execute(t, other, "CREATE TRIGGER logged AFTER INSERT ON keyhatch_keys BEGIN INSERT INTO log (id) VALUES (new.id); END")
	for round := range 3 { // by chance, it is the first of twenty in one of them
		execute(t, other, "DELETE FROM log")
		execute(t, other, "BEGIN IMMEDIATE")
		var wg sync.WaitGroup
		create := func(id string) {
			wg.Go(func() {
				if err := s.Insert(t.Context(), record("o", id), -1); err != nil {
					t.Errorf("a create that waits for the lock fails: %v", err)
				}
			})
		}
		first := fmt.Sprint("first", round)
		create(first)
		awaitTaken(t, s)
		for i := range 19 {
			create(fmt.Sprint("k", round, "-", i))
		}
		time.Sleep(100 * time.Millisecond)
		execute(t, other, "ROLLBACK")
		wg.Wait()
		var id string
		if err := other.QueryRowContext(t.Context(), "SELECT id FROM log ORDER BY n").Scan(&id); err != nil {
			t.Fatal(err)
		}
		if id != first {
			t.Errorf("the create that came first had to wait for %s", id)
		}
	}
}

// awaitTaken waits until a call has the connection that writes, and is refused the
// lock.
func awaitTaken(t *testing.T, s *sqlitestore.Store) {
	t.Helper()
	for range 500 {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		err := s.Insert(ctx, record("o", "never"), -1)
		cancel()
		if err == nil {
			t.Fatal("the lock is free")
		}
		if strings.Contains(err.Error(), "connections of the pool are in use") {
			return
		}
	}
	t.Fatal("nobody has the connection")
}

// Where another program keeps the lock, all calls give up after five seconds, and
// not each five seconds after the one before.
func TestAllGiveUpTogether(t *testing.T) {
	t.Parallel()
	file := newFile(t)
	s, other := open(t, file), raw(t, file)
	execute(t, other, "BEGIN IMMEDIATE")
	var wg sync.WaitGroup
	began := time.Now()
	for i := range 5 {
		wg.Go(func() {
			if err := s.Insert(t.Context(), record("o", fmt.Sprint("k", i)), -1); err == nil || !strings.Contains(err.Error(), "locked") {
				t.Errorf("a create while the file is locked: got %v, want that it is locked", err)
			}
		})
	}
	wg.Wait()
	if took := time.Since(began); took < 5*time.Second || took > 12*time.Second {
		t.Errorf("5 creates gave up after %v, want 5 s", took)
	}
	execute(t, other, "ROLLBACK")
	insert(t, s, record("o", "later"))
}

// A host's own pools wait for the lock as well, whatever their settings.
func TestPoolsOfTheHost(t *testing.T) {
	t.Parallel()
	for _, journal := range []string{"WAL", "DELETE"} {
		for _, txlock := range []string{"deferred", "immediate"} {
			for _, shared := range []bool{false, true} {
				t.Run(fmt.Sprint(journal, " ", txlock, " shared ", shared), func(t *testing.T) {
					t.Parallel()
					file := newFile(t)
					writes := raw(t, "file:"+file+"?_pragma=journal_mode("+journal+")&_pragma=busy_timeout(10)&_txlock="+txlock)
					o := &sqlstore.Options{}
					if !shared {
						o.Reads = raw(t, file)
					}
					s, err := sqlstore.New(writes, sqlstore.SQLite, o)
					if err != nil {
						t.Fatal(err)
					}
					if err := s.Migrate(t.Context()); err != nil {
						t.Fatal(err)
					}
					other := raw(t, file)
					execute(t, other, "BEGIN IMMEDIATE")
					var wg sync.WaitGroup
					for i := range 10 {
						wg.Go(func() {
							if err := s.Insert(t.Context(), record("o", fmt.Sprint("k", i)), -1); err != nil {
								t.Errorf("a create that waits for the lock fails: %v", err)
							}
						})
					}
					time.Sleep(200 * time.Millisecond)
					// Readers need no lock, and must not wait for a writer that does.
					ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
					defer cancel()
					if _, err := s.Lookup(ctx, record("o", "k1").Digest); !errors.Is(err, store.ErrNotFound) {
						t.Errorf("a look-up beside writers that wait: got %v, want %v", err, store.ErrNotFound)
					}
					execute(t, other, "ROLLBACK")
					wg.Wait()
				})
			}
		}
	}
}

func TestNewFileIsReadableByItsOwnerAlone(t *testing.T) {
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
			t.Errorf("others can read who has keys: %s has mode %o, want 600", filepath.Base(file)+ending, mode)
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
		t.Errorf("the host's choice of mode is overruled: got %v, %v, want 640", info.Mode().Perm(), err)
	}
}
