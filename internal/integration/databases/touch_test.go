package databases_test

import (
	"bytes"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/keyhatch/keyhatch/internal/testkit"
	"github.com/keyhatch/keyhatch/store"
	"github.com/keyhatch/keyhatch/store/sqlstore"
)

// batch is the number of uses in a Touch.
var batch = testkit.Scale(300, 1000)

// Overlapping batches of uses from many goroutines wait for each other without a deadlock. The
// server counts deadlocks, so this test is not parallel.
func TestTouchDoesNotDeadlock(t *testing.T) {
	for _, server := range countedServers {
		t.Run(server.name, func(t *testing.T) {
			db := testkit.OpenDB(t, server.driver, server.dsn(t))
			s := sqlStore(t, server.dialect, db)
			load(t, s, 3*batch/2)
			before := server.deadlocks(t, db)
			latest := touchAll(t, s, server.sorts)
			for _, r := range all(t, s) {
				if want := latest[r.Digest]; !r.LastUsedAt.Equal(want) {
					t.Fatalf("last use of %s: got %v, want the latest of its uses, %v", r.ID, r.LastUsedAt, want)
				}
			}
			// A deadlock on purpose shows that the count works.
			deadlock(t, db)
			if n := server.deadlocks(t, db) - before; n != 1 {
				t.Errorf("deadlocks that the server counted: got %d, want only the intended one", n)
			}
		})
	}
}

// A counted server counts deadlocks.
type counted struct {
	database
	sorts     bool // Touch locks rows in order, even if the uses have another order
	deadlocks func(*testing.T, *sql.DB) int64
}

var countedServers = []counted{
	{database{"PostgreSQL", "pgx", sqlstore.PostgreSQL, postgresDatabase}, true, postgresDeadlocks},
	{servers[1], false, mysqlDeadlocks},
}

// postgresDatabase returns the data source name of a new database, which has its own counters.
func postgresDatabase(t testing.TB) string {
	t.Helper()
	server, name := testkit.UsePostgreSQL(t), testkit.NewName()
	testkit.Execute(t, server, "CREATE DATABASE "+name)
	t.Cleanup(func() { testkit.Execute(t, server, "DROP DATABASE "+name+" WITH (FORCE)") })
	u := parsed(server)
	u.Path = "/" + name
	return testkit.SetParam(u.String(), "deadlock_timeout", "20ms") // instead of one second
}

// postgresDeadlocks closes the idle connections first, since a connection's counters are certainly
// included only after it has ended.
func postgresDeadlocks(t *testing.T, db *sql.DB) int64 {
	t.Helper()
	db.SetMaxIdleConns(0)
	defer db.SetMaxIdleConns(testkit.PoolSize)
	testkit.Await(t, "the idle connections are closed", func() bool {
		return testkit.QueryValue[int](t, db, "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()") == 1
	})
	return testkit.QueryValue[int64](t, db, "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
}

func mysqlDeadlocks(t *testing.T, db *sql.DB) int64 {
	t.Helper()
	return testkit.QueryValue[int64](t, db, "SELECT count FROM information_schema.innodb_metrics WHERE name = 'lock_deadlocks'")
}

// load inserts n records of ten owners.
func load(t *testing.T, s store.Store, n int) {
	t.Helper()
	together(10, func(owner int) {
		for i := owner; i < n; i += 10 {
			r := record(fmt.Sprint("o", owner), fmt.Sprint("k", i))
			if err := s.Insert(t.Context(), r, -1); err != nil {
				t.Error(err)
				return
			}
		}
	})
}

// all returns the records of load and their successors.
func all(t *testing.T, s store.Store) (rs []store.Record) {
	t.Helper()
	for owner := range 10 {
		for q := (store.Query{Owner: fmt.Sprint("o", owner)}); ; {
			page, err := s.List(t.Context(), q)
			if err != nil {
				t.Fatal(err)
			}
			rs = append(rs, page.Records...)
			if q.After = page.Next; q.After.IsZero() {
				break
			}
		}
	}
	return rs
}

// touchAll returns the latest use of each key.
func touchAll(t *testing.T, s store.Store, bothOrders bool) map[store.Digest]time.Time {
	t.Helper()
	const touchers = 8
	rounds := testkit.Scale(4, 200)
	latest := map[store.Digest]time.Time{}
	batches := make([][]store.Use, touchers*rounds)
	for i := range batches {
		batches[i] = uses(3*batch/2, batch, epoch.Add(time.Duration(i+1)*time.Second))
		for _, u := range batches[i] {
			latest[u.Digest] = u.At
		}
		if bothOrders && i%2 == 1 {
			slices.Reverse(batches[i])
		}
	}
	together(touchers, func(i int) {
		for b := i; b < len(batches); b += touchers {
			if err := s.Touch(t.Context(), batches[b]); err != nil {
				t.Errorf("concurrent Touch: %v", err)
			}
		}
	})
	return latest
}

// uses returns uses of some of the first n keys, sorted as Touch requires.
func uses(n, some int, at time.Time) (us []store.Use) {
	for _, k := range rand.Perm(n)[:some] {
		us = append(us, store.Use{Digest: record("", fmt.Sprint("k", k)).Digest, At: at})
	}
	slices.SortFunc(us, func(a, b store.Use) int { return bytes.Compare(a.Digest[:], b.Digest[:]) })
	return us
}

// deadlock makes two transactions wait for each other.
func deadlock(t *testing.T, db *sql.DB) {
	t.Helper()
	const lock = "UPDATE keyhatch_keys SET hint = 'locked' WHERE id = "
	ids := []string{"'k0'", "'k1'"}
	var first [2]*sql.Tx
	for i := range first {
		tx, err := db.BeginTx(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer tx.Rollback()
		if _, err := tx.ExecContext(t.Context(), lock+ids[i]); err != nil {
			t.Fatal(err)
		}
		first[i] = tx
	}
	var failed atomic.Int64
	together(2, func(i int) {
		if _, err := first[i].ExecContext(t.Context(), lock+ids[1-i]); err != nil {
			failed.Add(1)
			first[i].Rollback()
		}
	})
	if failed.Load() != 1 {
		t.Fatalf("failures of two transactions that wait for each other: got %d, want 1", failed.Load())
	}
}

// Control: MariaDB locks rows in the order of the uses. If they are not sorted, as Touch requires,
// deadlocks occur, and the test above would detect them. Callers see no error, since the
// transaction is repeated.
func TestUnsortedUsesDeadlock(t *testing.T) {
	server := countedServers[1]
	db := testkit.OpenDB(t, server.driver, server.dsn(t))
	s := sqlStore(t, server.dialect, db)
	load(t, s, batch)
	before := server.deadlocks(t, db)
	giveUp := time.Now().Add(time.Minute)
	for server.deadlocks(t, db) == before {
		if time.Now().After(giveUp) {
			t.Fatal("batches in opposite orders did not deadlock, so this test detects nothing")
		}
		together(8, func(i int) {
			us := uses(batch, batch, epoch.Add(time.Duration(i)*time.Second))
			if i%2 == 1 {
				slices.Reverse(us)
			}
			if err := s.Touch(t.Context(), us); err != nil {
				t.Errorf("Touch of uses out of order: %v", err)
			}
		})
	}
}

// Advisory 2, C-06: a use never undoes another change of a key, and is not recorded after a
// revocation.
func TestTouchDuringOtherWrites(t *testing.T) {
	t.Parallel()
	keys := testkit.Scale(120, 400)
	for _, server := range servers {
		t.Run(server.name, func(t *testing.T) {
			s := sqlStore(t, server.dialect, server.open(t))
			load(t, s, keys)
			revoked := writeAndTouch(t, s, keys)
			for _, r := range all(t, s) {
				if want, ok := revoked[r.ID]; !ok || !reflect.DeepEqual(r, want) {
					t.Errorf("a record has changed since it was revoked: got %+v, want %+v", r, want)
				}
			}
		})
	}
}

// writeAndTouch changes, rotates and revokes each owner's keys while all keys are used, and returns
// the records as they were after their revocation.
func writeAndTouch(t *testing.T, s store.Store, keys int) map[string]store.Record {
	t.Helper()
	revoked := make([]map[string]store.Record, 10)
	var writing atomic.Int64
	writing.Store(10)
	together(10+4, func(i int) {
		if i < 10 {
			revoked[i] = writeOwner(t, s, i, keys)
			writing.Add(-1)
			return
		}
		seen := map[string]time.Time{}
		for n := i; writing.Load() > 0; n += 4 {
			if err := s.Touch(t.Context(), uses(keys, keys/2, epoch.Add(time.Duration(n)*time.Second))); err != nil {
				t.Errorf("Touch during other writes: %v", err)
				return
			}
			forward(t, s, fmt.Sprint("o", n%10), seen)
		}
	})
	whole := map[string]store.Record{}
	for _, rs := range revoked {
		maps.Copy(whole, rs)
	}
	return whole
}

// writeOwner changes an owner's keys, and finally revokes all of them.
func writeOwner(t *testing.T, s store.Store, n, keys int) map[string]store.Record {
	t.Helper()
	owner, ctx, name := fmt.Sprint("o", n), t.Context(), "changed"
	revoked := map[string]store.Record{}
	for k := n; k < keys; k += 10 {
		id := fmt.Sprint("k", k)
		_, updated := s.Update(ctx, owner, id, store.Change{At: epoch, Name: &name})
		var err error
		switch k / 10 % 4 {
		case 0:
			_, _, err = s.Revoke(ctx, owner, id, epoch, "leaked")
		case 1:
			_, _, err = s.Rotate(ctx, owner, id, record("", id+"-next"), epoch, -1)
		case 2:
			_, _, err = s.Rotate(ctx, owner, id, record("", id+"-next"), epoch.Add(time.Hour), -1)
		}
		r, got := s.Get(ctx, owner, id)
		if err := errors.Join(updated, err, got); err != nil {
			t.Errorf("%s during Touch: %v", id, err)
		}
		if !r.RevokedAt.IsZero() {
			revoked[id] = r
		}
	}
	if _, err := s.RevokeAll(ctx, owner, epoch, "closed"); err != nil {
		t.Errorf("RevokeAll during Touch: %v", err)
	}
	for id, r := range recordsOf(t, s, owner) {
		if _, ok := revoked[id]; !ok {
			revoked[id] = r
		}
	}
	return revoked
}

// forward fails the test if a last use is before an earlier observed one.
func forward(t *testing.T, s store.Store, owner string, seen map[string]time.Time) {
	t.Helper()
	for id, r := range recordsOf(t, s, owner) {
		if r.LastUsedAt.Before(seen[id]) {
			t.Errorf("the last use of %s decreased from %v to %v", id, seen[id], r.LastUsedAt)
		}
		seen[id] = r.LastUsedAt
	}
}
