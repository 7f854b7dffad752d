package proof_test

import (
	"net/http/httptest"
	"path/filepath"
	"testing"
	"time"

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
	{"sqlstore on PostgreSQL", onSQL(servers[0])},
	{"sqlstore on PostgreSQL through lib pq", onSQL(database{"", "postgres", sqlstore.PostgreSQL, postgresDSN})},
	{"sqlstore on MariaDB", onSQL(servers[1])},
	{"remotestore over memstore", over(func(*testing.T) store.Store { return memstore.New() })},
	{"remotestore over pgstore", over(openPgstore)},
	{"sqlitestore", openSQLite},
	{"pgstore", openPgstore},
	{"remotestore over sqlitestore", over(openSQLite)},
	{"remotestore over sqlstore on PostgreSQL", over(onSQL(servers[0]))},
	{"remotestore over sqlstore on MariaDB", over(onSQL(servers[1]))},
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
	dsn := postgresDSN(t)
	s, err := pgstore.Open(t.Context(), dsn, &pgstore.Options{Schema: schemaOf(dsn)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func onSQL(d database) func(*testing.T) store.Store {
	return func(t *testing.T) store.Store { return sqlStore(t, d.dialect, d.open(t)) }
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
		s, err := remotestore.New(service.URL, secret, &remotestore.Options{Timeout: time.Minute})
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
