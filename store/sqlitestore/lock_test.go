package sqlitestore_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/keyhatch/keyhatch/internal/testkit"
	"github.com/keyhatch/keyhatch/store"
	"github.com/keyhatch/keyhatch/store/sqlitestore"
	"github.com/keyhatch/keyhatch/store/sqlstore"
)

// createWaiting creates a record while another program holds the lock for a while.
func createWaiting(t *testing.T, s store.Store, id string) {
	if err := s.Insert(t.Context(), record("o", id), -1); err != nil {
		t.Errorf("a create that waited for the lock failed: %v", err)
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
	// If it ignored the context, it would wait for the lock for 5 s and return another error.
	if took := time.Since(began); !errors.Is(err, context.DeadlineExceeded) || took > 4*time.Second {
		t.Errorf("a write to a locked file must return when its context ends after 100 ms: got %v after %v", err, took)
	}
	if _, err := s.Lookup(t.Context(), record("o", "k1").Digest); err != nil {
		t.Errorf("readers must not wait for a writer: %v", err)
	}
	execute(t, db, "COMMIT")
	insert(t, s, record("o", "k2"))
}

// Invariant 9: a write that gets no connection returns ErrBusy if other writes of this
// process got the lock meanwhile, and an outage if another process held it.
func TestWritesThatGetNoConnection(t *testing.T) {
	t.Parallel()
	file := newFile(t)
	s, other := open(t, file), raw(t, file)
	ctx, cancel := context.WithCancel(t.Context())
	var writers sync.WaitGroup
	defer writers.Wait()
	defer cancel()
	for n := range 32 {
		writers.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				_ = s.Insert(ctx, record(fmt.Sprint("o", n), fmt.Sprint("k", n, "-", i)), -1)
			}
		})
	}
	once := func(wait time.Duration) error {
		ctx, cancel := context.WithTimeout(t.Context(), wait)
		defer cancel()
		return s.Touch(ctx, []store.Use{{Digest: record("o", "k").Digest, At: epoch}})
	}
	var err error
	for began := time.Now(); !errors.Is(err, store.ErrBusy); err = once(5 * time.Millisecond) {
		if time.Since(began) > 20*time.Second {
			t.Fatalf("a write during many others: got %v, want ErrBusy", err)
		}
	}
	testkit.Await(t, "the lock is free for a moment", func() bool {
		_, err := other.ExecContext(t.Context(), "BEGIN IMMEDIATE")
		return err == nil
	})
	for range 20 { // the Store may count an earlier write late
		if err = once(500 * time.Millisecond); !errors.Is(err, store.ErrBusy) {
			break
		}
	}
	if !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, store.ErrBusy) {
		t.Errorf("a write during others that wait for another process: got %v, want an outage error", err)
	}
	cancel()
	execute(t, other, "ROLLBACK")
}

// A call that waits for another process keeps its place in the queue. If it queued
// again after each attempt, some of many calls would wait forever.
func TestWaitingCallKeepsItsPlace(t *testing.T) {
	t.Parallel()
	file := newFile(t)
	s, other := open(t, file), raw(t, file)
	execute(t, other, "CREATE TABLE log (n INTEGER PRIMARY KEY, id TEXT)")
	execute(t, other, "CREATE TRIGGER logged AFTER INSERT ON keyhatch_keys BEGIN INSERT INTO log (id) VALUES (new.id); END")
	for round := range 3 { // a Store without the queue could pass one round by chance
		execute(t, other, "DELETE FROM log")
		execute(t, other, "BEGIN IMMEDIATE")
		var wg sync.WaitGroup
		first := fmt.Sprint("first", round)
		wg.Go(func() { createWaiting(t, s, first) })
		awaitTaken(t, s)
		for i := range 19 {
			wg.Go(func() { createWaiting(t, s, fmt.Sprint("k", round, "-", i)) })
		}
		time.Sleep(100 * time.Millisecond) // long enough for another call to take the place, if the first call gave it up
		execute(t, other, "ROLLBACK")
		wg.Wait()
		var id string
		if err := other.QueryRowContext(t.Context(), "SELECT id FROM log ORDER BY n").Scan(&id); err != nil {
			t.Fatal(err)
		}
		if id != first {
			t.Errorf("the first create must not wait for the later %s", id)
		}
	}
}

// awaitTaken waits until a call has the writing connection and waits for the lock.
func awaitTaken(t *testing.T, s *sqlitestore.Store) {
	t.Helper()
	for range 500 {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		err := s.Insert(ctx, record("o", "never"), -1)
		cancel()
		if err == nil {
			t.Fatal("no call waits, so the lock is free")
		}
		if strings.Contains(err.Error(), "connections of the pool are in use") {
			return
		}
	}
	t.Fatal("no call has the writing connection")
}

// If another program keeps the lock, all calls fail after 5 s, not one after the
// other.
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
				t.Errorf("create while the file is locked: got %v, want it to be locked", err)
			}
		})
	}
	wg.Wait()
	if took := time.Since(began); took < 5*time.Second || took > 20*time.Second { // one after the other, it would be 25 s
		t.Errorf("5 creates: got errors after %v, want them after 5 s", took)
	}
	execute(t, other, "ROLLBACK")
	insert(t, s, record("o", "later"))
}

// A host's own pools wait for the lock too, with any busy_timeout.
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
	writes := raw(t, "file:"+file+"?"+settings)
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
		wg.Go(func() { createWaiting(t, s, fmt.Sprint("k", i)) })
	}
	testkit.Await(t, "the writers wait", func() bool { return writes.Stats().WaitCount >= 9 })
	// Readers need no lock, and must not wait for a writer that waits for one.
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if _, err := s.Lookup(ctx, record("o", "k1").Digest); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("look-up while writers wait: got %v, want %v", err, store.ErrNotFound)
	}
	execute(t, other, "ROLLBACK")
	wg.Wait()
}
