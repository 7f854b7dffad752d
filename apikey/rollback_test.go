package apikey_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/keyhatch/keyhatch/apikey"
	"github.com/keyhatch/keyhatch/cache"
	"github.com/keyhatch/keyhatch/store"
	"github.com/keyhatch/keyhatch/store/memstore"
)

// rollbackReports counts the reports of a database rollback.
type rollbackReports struct {
	events atomic.Int64
	mu     sync.Mutex
	log    strings.Builder
}

func (w *rollbackReports) options(o apikey.Options) *apikey.Options {
	o.MaxKeysPerOwner = -1
	o.Logger = slog.New(slog.NewTextHandler(lockedWriter{&w.mu, &w.log}, &slog.HandlerOptions{Level: slog.LevelError}))
	o.OnEvent = func(_ context.Context, e apikey.Event) {
		if e.Kind == apikey.EventRolledBack {
			w.events.Add(1)
		}
	}
	return &o
}

// want waits for two checks and fails the test unless there were n reports.
func (w *rollbackReports) want(t *testing.T, n int) {
	t.Helper()
	time.Sleep(25 * time.Second)
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	logged := strings.Count(w.log.String(), "the database was rolled back to an earlier state")
	if events := int(w.events.Swap(0)); events != n || logged != n {
		t.Errorf("got %d events and %d errors in the log, want %d of each", events, logged, n)
	}
	w.log.Reset()
}

func revokeKey(t *testing.T, m *apikey.Manager, i apikey.Issued) {
	t.Helper()
	if _, err := m.Revoke(t.Context(), i.Key.Owner, i.Key.ID, ""); err != nil {
		t.Error(err)
	}
}

// a database that has lost revocations is reported once, by an event and an error in
// the log, and all cached entries are looked up again.
func TestDatabaseRollback(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var reports rollbackReports
		st := newRollbackStore()
		m, other := newManager(t, st, reports.options(apikey.Options{CacheTTL: time.Hour})), newManager(t, st, nil)
		key, lost := create(t, m, "o"), create(t, m, "p")
		wantValid(t, m, key)
		reports.want(t, 0)
		restore := st.backup(t, "p")
		revokeKey(t, other, lost)
		reports.want(t, 0)
		restore()
		reports.want(t, 1)
		wantRefused(t, m, key, apikey.ErrUnknown) // as in the earlier state
		reports.want(t, 0)
		revokeKey(t, other, lost)
		reports.want(t, 0)
	})
}

// a restored backup is detected after a restart, by the count of revocations in the
// shared cache.
func TestDatabaseRollbackBeforeRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var reports rollbackReports
		st, shared := newRollbackStore(), &memoryShared{}
		start := func() *apikey.Manager {
			return newManager(t, st, reports.options(apikey.Options{SharedCache: shared}))
		}
		m := start()
		reports.want(t, 0)
		restore := st.backup(t)
		for range 3 {
			revokeKey(t, m, create(t, m, "o"))
		}
		reports.want(t, 0)
		if err := m.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(20 * 24 * time.Hour)
		restore()
		m = start()
		reports.want(t, 1)
		reports.want(t, 0)
		if err := m.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		start()
		reports.want(t, 0) // the lower count is now the expected one
	})
}

// a database that has lost no revocations is not reported.
func TestNoDatabaseRollback(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var reports rollbackReports
		st, shared := newRollbackStore(), &memoryShared{}
		var instances []*apikey.Manager
		for range 5 {
			instances = append(instances, newManager(t, &slowCounts{st}, reports.options(apikey.Options{SharedCache: shared})))
			time.Sleep(1700 * time.Millisecond)
		}
		for range 20 {
			for _, m := range instances {
				revokeKey(t, m, create(t, m, "o"))
				time.Sleep(300 * time.Millisecond)
			}
		}
		reports.want(t, 0)

		// New tables, and those of another service, have their own counts.
		newManager(t, memstore.New(), reports.options(apikey.Options{SharedCache: shared}))
		st.mu.Lock()
		st.now, st.before, st.lineage = memstore.New(), 0, "new tables"
		st.mu.Unlock()
		reports.want(t, 0)

		// A node of a cluster that lags behind.
		for range 2 {
			revokeKey(t, instances[0], create(t, instances[0], "o"))
		}
		reports.want(t, 0)
		for range 20 {
			st.mu.Lock()
			st.before--
			st.mu.Unlock()
			time.Sleep(time.Second)
			st.mu.Lock()
			st.before++
			st.mu.Unlock()
			time.Sleep(4700 * time.Millisecond)
		}
		reports.want(t, 0)
	})
}

// A secretBus is a bus whose messages have a MAC.
type secretBus struct{ *memoryBus }

func (secretBus) MACKey() []byte { return []byte("the instances' secret") }

// a count that another instance sends over the bus is also compared, once, if the bus
// has a secret and the count is of the same tables.
func TestDatabaseRollbackWithBus(t *testing.T) {
	for _, c := range []struct {
		name       string
		bus        cache.Bus
		sameTables bool
		reports    int
	}{
		{"another instance is at the old primary", secretBus{&memoryBus{}}, true, 1},
		{"other tables", secretBus{&memoryBus{}}, false, 0},
		{"without a secret", &memoryBus{}, true, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var reports, others rollbackReports
				old, st := newRollbackStore(), newRollbackStore()
				if c.sameTables {
					st.lineage = old.lineage
				}
				old.before = 50
				newManager(t, old, others.options(apikey.Options{Bus: c.bus}))
				newManager(t, st, reports.options(apikey.Options{Bus: c.bus}))
				reports.want(t, c.reports)
				reports.want(t, 0)
				others.want(t, 0)
			})
		})
	}
}

// messages from before the restore do not cause another report.
func TestDatabaseRollbackIsReportedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var reports, others rollbackReports
		bus, st, late := secretBus{&memoryBus{}}, newRollbackStore(), newRollbackStore()
		st.before, late.lineage, late.before = 50, st.lineage, 50
		newManager(t, st, reports.options(apikey.Options{Bus: bus}))
		time.Sleep(5 * time.Second)
		last := newManager(t, late, others.options(apikey.Options{Bus: bus}))
		time.Sleep(13 * time.Second) // 2 s before the next check
		setBefore := func(s *rollbackStore, n int64) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.before = n
		}
		setBefore(late, 60) // an instance that detects the loss later than the other
		setBefore(st, 40)
		time.Sleep(10 * time.Second)
		setBefore(late, 40)
		reports.want(t, 1)
		others.want(t, 1)
		if err := last.Close(t.Context()); err != nil {
			t.Error(err)
		}
		newManager(t, st, others.options(apikey.Options{Bus: bus}))
		reports.want(t, 0)
		others.want(t, 0)
	})
}

// slowCounts delays the counts that it has read.
type slowCounts struct{ *rollbackStore }

func (s *slowCounts) Revocations(ctx context.Context) (store.Revocations, error) {
	r, err := s.rollbackStore.Revocations(ctx)
	select {
	case <-ctx.Done():
	case <-time.After(1300 * time.Millisecond):
	}
	return r, err
}

// a count that cannot be read is logged as a warning, at once and every ten minutes.
func TestCountThatCannotBeRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var log strings.Builder
		logger := slog.New(slog.NewTextHandler(lockedWriter{&mu, &log}, nil))
		newManager(t, noCount{memstore.New()}, &apikey.Options{Logger: logger})
		time.Sleep(15 * time.Minute)
		synctest.Wait()
		mu.Lock()
		defer mu.Unlock()
		if n := strings.Count(log.String(), "level=WARN msg=\"apikey: cannot read the revocation count"); n != 2 {
			t.Errorf("got %d warnings in 15 minutes, want 2:\n%s", n, log.String())
		}
	})
}

// noCount is a store whose count has lost its rows.
type noCount struct{ *memstore.Store }

func (noCount) Revocations(context.Context) (store.Revocations, error) {
	return store.Revocations{}, errors.New("no rows")
}
