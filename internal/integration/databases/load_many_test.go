package databases_test

import (
	"database/sql"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/keyhatch/keyhatch/internal/testkit"
	"github.com/keyhatch/keyhatch/store"
	"github.com/keyhatch/keyhatch/store/sqlitestore"
	"github.com/keyhatch/keyhatch/store/sqlstore"
)

// The test logs the size of ten million keys and the duration of calls. It fails only if a result
// is wrong. A fifth of the keys belong to one owner.
func TestManyRows(t *testing.T) {
	n, calls := testkit.Scale(5_000, 10_000_000), testkit.Scale(100, 20_000)
	if !testkit.Soak() { // otherwise other tests run in parallel
		t.Parallel()
	}
	t.Run("PostgreSQL", func(t *testing.T) {
		var roomy []string
		if testkit.Soak() {
			roomy = []string{"shared_buffers=2GB", "max_wal_size=8GB", "maintenance_work_mem=1GB"}
		}
		server := testkit.StartPostgreSQL(t, roomy...)
		db := testkit.OpenDB(t, "pgx", server.DSN())
		s := sqlStore(t, sqlstore.PostgreSQL, db)
		loadTimed(t, db, sqlstore.PostgreSQL, n)
		askAmongMany(t, databases[1], s, db, n, calls)
		t.Log("bytes: " + rowsOf(t, db, `SELECT relname || ' ' || pg_table_size(oid) FROM pg_class
			WHERE relname LIKE 'keyhatch_keys%' AND relkind IN ('r', 'i') ORDER BY relname`))
	})
	t.Run("SQLite", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "keys.db")
		s, err := sqlitestore.Open(t.Context(), file)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		db := testkit.OpenDB(t, "sqlite", "file:"+file+"?_pragma=cache_size(-2000000)&_pragma=temp_store(MEMORY)&_pragma=wal_autocheckpoint(100000)")
		db.SetMaxOpenConns(1)
		loadTimed(t, db, sqlstore.SQLite, n)
		testkit.ExecuteOn(t, db, "PRAGMA cache_size = -2000") // the Store's default
		askAmongMany(t, databases[0], s, db, n, calls)
		t.Log("bytes: " + rowsOf(t, db, `SELECT name || ' ' || pgsize FROM dbstat WHERE aggregate = 1 AND name LIKE '%keyhatch_keys%' ORDER BY name`))
	})
}

func loadTimed(t *testing.T, db *sql.DB, d sqlstore.Dialect, n int) {
	t.Helper()
	began := time.Now()
	fillRows(t, db, d, n)
	took := time.Since(began)
	t.Logf("%d rows in %v, %.0f per second", n, took.Round(time.Millisecond), perSecond(n, took))
}

func askAmongMany(t *testing.T, d database, s store.Store, db *sql.DB, n, calls int) {
	t.Helper()
	ctx := t.Context()
	stmt := d.prepare(t, db, plainColumns+"WHERE digest = ?")
	lookup, bare := storeLookup(ctx, s, n), bareLookup(ctx, stmt, n)
	list := func(owner string, want int) *figure {
		return &figure{name: "list of " + owner, call: func(int) error {
			page, err := s.List(ctx, store.Query{Owner: owner})
			if err == nil && len(page.Records) != want {
				err = fmt.Errorf("got %d records, want %d", len(page.Records), want)
			}
			return err
		}}
	}
	refused := []*figure{refusal(ctx, s, bigOwner), refusal(ctx, s, smallOwner)}
	lists := []*figure{list(bigOwner, store.MaxPage), list(smallOwner, 100)}
	for i := range calls {
		takeTurns(t, i, lookup, bare)
		if i%10 == 0 {
			takeTurns(t, i, lists...)
			takeTurns(t, i, refused...)
		}
	}
	refused[0].name, refused[1].name = "create at the limit of big", "create at the limit of "+smallOwner
	for _, f := range append([]*figure{lookup, bare}, append(lists, refused...)...) {
		t.Logf("%-28s p50 %8.1f µs   p99 %8.1f µs   of %d", f.name, micro(f.percentile(50)), micro(f.percentile(99)), len(f.took))
	}
	t.Logf("a look-up takes %.2f times as long as the bare statement", times(lookup.percentile(50), bare.percentile(50)))
}
