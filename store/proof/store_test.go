package proof_test

import (
	"database/sql"
	"net/http/httptest"
	"path/filepath"
	"testing"

	_ "github.com/lib/pq" // the driver "postgres"

	"github.com/keyhatch/keyhatch/store"
	"github.com/keyhatch/keyhatch/store/memstore"
	"github.com/keyhatch/keyhatch/store/pgstore"
	"github.com/keyhatch/keyhatch/store/remotestore"
	"github.com/keyhatch/keyhatch/store/sqlitestore"
	"github.com/keyhatch/keyhatch/store/sqlstore"
	"github.com/keyhatch/keyhatch/store/storetest"
)

// stores are every kind of store with every driver, each empty and with an end
// that comes with the test's.
var stores = []struct {
	name string
	open func(*testing.T) store.Store
}{
	{"memstore", func(*testing.T) store.Store { return memstore.New() }},
	{"sqlitestore", openSQLite},
	{"pgstore", openPgstore},
	{"sqlstore on PostgreSQL", onSQL(sqlstore.PostgreSQL, postgresDB)},
	{"sqlstore on MariaDB", onSQL(sqlstore.MySQL, servers[1].open)},
	{"sqlstore on PostgreSQL through lib pq", onSQL(sqlstore.PostgreSQL, pqDB)},
	{"remotestore over memstore", over(func(*testing.T) store.Store { return memstore.New() })},
	{"remotestore over sqlitestore", over(openSQLite)},
	{"remotestore over pgstore", over(openPgstore)},
	{"remotestore over sqlstore on PostgreSQL", over(onSQL(sqlstore.PostgreSQL, postgresDB))},
	{"remotestore over sqlstore on MariaDB", over(onSQL(sqlstore.MySQL, servers[1].open))},
}

func openSQLite(t *testing.T) store.Store {
	t.Helper()
	s, err := sqlitestore.Open(t.Context(), filepath.Join(t.TempDir(), "keys.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func openPgstore(t *testing.T) store.Store {
	t.Helper()
	s, err := pgstore.Open(t.Context(), postgresDSN(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func onSQL(d sqlstore.Dialect, open func(testing.TB) *sql.DB) func(*testing.T) store.Store {
	return func(t *testing.T) store.Store { return sqlStore(t, d, open(t)) }
}

// pqDB speaks to PostgreSQL through the other driver.
func pqDB(t testing.TB) *sql.DB {
	t.Helper()
	return openDB(t, "postgres", postgresDSN(t))
}

// over puts a key service between.
func over(open func(*testing.T) store.Store) func(*testing.T) store.Store {
	secret := []byte("a secret of the tests, 32 bytes!!")
	return func(t *testing.T) store.Store {
		t.Helper()
		handler, err := remotestore.Handler(open(t), secret, nil)
		if err != nil {
			t.Fatal(err)
		}
		service := httptest.NewServer(handler)
		t.Cleanup(service.Close)
		s, err := remotestore.New(service.URL, secret, nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
		return s
	}
}

// M-01, P-01: one behaviour, whatever keeps the records.
func TestStore(t *testing.T) {
	for _, s := range stores {
		t.Run(s.name, func(t *testing.T) { storetest.Run(t, s.open) })
	}
}
