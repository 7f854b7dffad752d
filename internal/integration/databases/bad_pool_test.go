package databases_test

import (
	"context"
	"database/sql"
	"errors"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/keyhatch/keyhatch/internal/testkit"
	"github.com/keyhatch/keyhatch/store"
	"github.com/keyhatch/keyhatch/store/sqlstore"
)

// A call that gets no connection ends with its context, and its error names the reason.
// No other call is served meanwhile, so it may be an outage.
func TestPoolIsExhausted(t *testing.T) {
	forEach(t, databases, func(t *testing.T, d database, db *sql.DB, s *sqlstore.Store) {
		had := someKeys(t, s)
		db.SetMaxOpenConns(1)
		taken := begin(t, db)
		for name, call := range calls {
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
			err := call(ctx, s)
			cancel()
			outage(t, err, name)
			if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "all 1 connections of the pool are in use") {
				t.Errorf("%s: the error does not name its cause: got %v", name, err)
			}
		}
		taken.Rollback()
		recovered(t, s, had)
	})
}

// Invariant 9: a call that gets no connection while other calls succeed returns ErrBusy.
func TestBusyPoolIsNotOutage(t *testing.T) {
	forEach(t, databases, func(t *testing.T, d database, db *sql.DB, s *sqlstore.Store) {
		someKeys(t, s)
		db.SetMaxOpenConns(1)
		testkit.KeepBusy(t, db, lookups(s))
		for name, call := range calls {
			becomesBusy(t, s, name, call)
		}
	})
}

// Invariant 9: transactions that end with a rollback also show that the server replies.
func TestRollbacksKeepAPoolBusy(t *testing.T) {
	forEach(t, databases, func(t *testing.T, d database, db *sql.DB, s *sqlstore.Store) {
		someKeys(t, s)
		db.SetMaxOpenConns(1)
		testkit.KeepBusy(t, db, func(ctx context.Context) {
			if err := s.Insert(ctx, record("o", "refused"), 0); err == nil {
				t.Error("Insert above the limit succeeded")
			}
		})
		becomesBusy(t, s, "Lookup", calls["Lookup"])
	})
}

// becomesBusy repeats a call until it returns ErrBusy.
func becomesBusy(t *testing.T, s store.Store, name string, call func(context.Context, store.Store) error) {
	t.Helper()
	var err error
	for began := time.Now(); !errors.Is(err, store.ErrBusy); {
		if time.Since(began) > 20*time.Second {
			t.Fatalf("%s with a busy pool: got %v, want ErrBusy", name, err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		err = call(ctx, s)
		cancel()
	}
	if !errors.Is(err, context.DeadlineExceeded) || isSentinel(err) {
		t.Errorf("%s with a busy pool: got %v, want the context's error as well", name, err)
	}
}

func lookups(s store.Store) func(context.Context) {
	return func(ctx context.Context) { _, _ = s.Lookup(ctx, record("o", "k1").Digest) }
}

// A call that has its connection is never busy.
func TestSlowStatementIsAnOutage(t *testing.T) {
	forEach(t, servers, func(t *testing.T, d database, db *sql.DB, s *sqlstore.Store) {
		someKeys(t, s)
		run(t, begin(t, db), "SELECT 1 FROM keyhatch_keys WHERE id = 'k1' FOR UPDATE")
		db.SetMaxOpenConns(3)
		testkit.KeepBusy(t, db, lookups(s))
		for range 2 {
			ctx, cancel := context.WithTimeout(t.Context(), 2500*time.Millisecond) // a busy machine has time to connect
			outage(t, calls["Touch"](ctx, s), "Touch of a locked record while the pool is busy")
			cancel()
		}
	})
}

// Invariant 9: calls to a server that hangs return outage errors, even those that wait for a
// connection.
func TestHangingServerIsAnOutage(t *testing.T) {
	locks := map[sqlstore.Dialect]string{
		sqlstore.PostgreSQL: "LOCK TABLE keyhatch_keys IN ACCESS EXCLUSIVE MODE", sqlstore.MySQL: "LOCK TABLES keyhatch_keys WRITE",
	}
	forEach(t, servers, func(t *testing.T, d database, db *sql.DB, s *sqlstore.Store) {
		someKeys(t, s)
		run(t, begin(t, db), locks[d.dialect])
		db.SetMaxOpenConns(3)
		allHang(t, s)
	})
}

// Invariant 9: a server that does not complete connections counts as an outage.
func TestUnreachableServerIsAnOutage(t *testing.T) {
	t.Parallel()
	silent, err := net.Listen("tcp", "127.0.0.1:0") // it accepts connections and sends nothing
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	for _, d := range servers {
		dsn := "postgres://u@" + silent.Addr().String() + "/db?sslmode=disable"
		if d.dialect == sqlstore.MySQL {
			dsn = "u@tcp(" + silent.Addr().String() + ")/db"
		}
		db := testkit.OpenDB(t, d.driver, dsn)
		db.SetMaxOpenConns(2)
		s, err := sqlstore.New(db, d.dialect, nil)
		if err != nil {
			t.Fatal(err)
		}
		allHang(t, s)
	}
}

// allHang makes more look-ups than there are connections, and fails the test unless all are
// outages.
func allHang(t *testing.T, s store.Store) {
	t.Helper()
	var lookups sync.WaitGroup
	for range 10 {
		lookups.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
			defer cancel()
			outage(t, calls["Lookup"](ctx, s), "Lookup")
		})
	}
	lookups.Wait()
}
