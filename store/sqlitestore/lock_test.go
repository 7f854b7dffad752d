package sqlitestore_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/keyhatch/keyhatch/store"
	"github.com/keyhatch/keyhatch/store/sqlitestore"
	"github.com/keyhatch/keyhatch/store/sqlstore"
)

// createWaiting is a create while another program has the lock, for a while.
func createWaiting(t *testing.T, s store.Store, id string) {
	if err := s.Insert(t.Context(), record("o", id), -1); err != nil {
		t.Errorf("a create that waits for the lock fails: %v", err)
	}
}

func TestLockedFileHonoursTheContext(t *testing.T) {
	t.Parallel()
	file := newFile(t)
	s := open(t, file)
	insert(t, s, record("o", "k1"))
	db := raw(t, file)
	execute(t, db, "BEGIN IMMEDIATE")
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	began := time.Now()
	err := s.Insert(ctx, record("o", "k2"), -1)
	if took := time.Since(began); !errors.Is(err, context.DeadlineExceeded) || took > 2*time.Second {
		t.Errorf("a write to a locked file ends with its context of 100 ms: got %v after %v", err, took)
	}
	if _, err := s.Lookup(t.Context(), record("o", "k1").Digest); err != nil {
		t.Errorf("readers do not wait for a writer: %v", err)
	}
	execute(t, db, "COMMIT")
	insert(t, s, record("o", "k2"))
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
		first := fmt.Sprint("first", round)
		wg.Go(func() { createWaiting(t, s, first) })
		awaitTaken(t, s)
		for i := range 19 {
			wg.Go(func() { createWaiting(t, s, fmt.Sprint("k", round, "-", i)) })
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
					waitInPools(t, "_pragma=busy_timeout(10)&_pragma=journal_mode("+journal+")&_txlock="+txlock, shared)
				})
			}
		}
	}
}

func waitInPools(t *testing.T, settings string, shared bool) {
	file := newFile(t)
	o := &sqlstore.Options{}
	if !shared {
		o.Reads = raw(t, file)
	}
	s, err := sqlstore.New(raw(t, "file:"+file+"?"+settings), sqlstore.SQLite, o)
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
		wg.Go(func() { createWaiting(t, s, fmt.Sprint("k", i)) })
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
}
