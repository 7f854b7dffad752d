package databases_test

import (
	"database/sql"
	"net/http/httptest"
	"path/filepath"
	"testing"
	"time"

	_ "github.com/lib/pq" // the driver "postgres"

	"github.com/keyhatch/keyhatch/internal/testkit"
	"github.com/keyhatch/keyhatch/store"
	"github.com/keyhatch/keyhatch/store/pgstore"
	"github.com/keyhatch/keyhatch/store/remotestore"
	"github.com/keyhatch/keyhatch/store/sqlitestore"
	"github.com/keyhatch/keyhatch/store/sqlstore"
	"github.com/keyhatch/keyhatch/store/storetest"
)

// stores lists the stores that no other package runs the suite on. The later ones are only for the
// full counts.
var stores = []struct {
	name string
	open source
}{
	{"sqlstore on PostgreSQL", onSQL(servers[0])},
	{"sqlstore on PostgreSQL through lib pq", onSQL(database{"", "postgres", sqlstore.PostgreSQL, testkit.UseSchema})},
	{"sqlstore on MariaDB", onSQL(servers[1])},
	{"remotestore over pgstore", over(each(openPgstore))},
	{"remotestore over sqlitestore", over(each(openSQLite))},
	{"remotestore over sqlstore on MariaDB", over(onSQL(servers[1]))},
}

// A source creates the stores of a run of the suite, an empty one for each rule.
type source func(suite *testing.T) func(rule *testing.T) store.Store

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
	dsn := testkit.UseSchema(t)
	s, err := pgstore.Open(t.Context(), dsn, &pgstore.Options{Schema: testkit.GetParam(dsn, "search_path")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func each(open func(rule *testing.T) store.Store) source {
	return func(*testing.T) func(*testing.T) store.Store { return open }
}

// onSQL empties the tables after each rule and reuses them, since creating tables takes longer than
// most rules.
func onSQL(d database) source {
	type opened struct {
		s  store.Store
		db *sql.DB
	}
	return func(suite *testing.T) func(*testing.T) store.Store {
		free := make(chan opened, 100)
		return func(rule *testing.T) store.Store {
			var o opened
			select {
			case o = <-free:
			default:
				o.db = d.open(suite)
				o.s = sqlStore(suite, d.dialect, o.db)
			}
			rule.Cleanup(func() {
				testkit.ExecuteOn(rule, o.db, "DELETE FROM keyhatch_keys")
				testkit.ExecuteOn(rule, o.db, "DELETE FROM keyhatch_keys_owners")
				free <- o
			})
			return o.s
		}
	}
}

// over returns clients of key services. The store of each service comes from inner.
func over(inner source) source {
	secret := []byte("a secret of the tests, 32 bytes!!")
	return func(suite *testing.T) func(*testing.T) store.Store {
		open := inner(suite)
		return func(rule *testing.T) store.Store {
			rule.Helper()
			handler, err := remotestore.Handler(open(rule), secret, nil)
			if err != nil {
				rule.Fatal(err)
			}
			service := httptest.NewServer(handler)
			rule.Cleanup(service.Close)
			s, err := remotestore.New(service.URL, secret, &remotestore.Options{Timeout: time.Minute})
			if err != nil {
				rule.Fatal(err)
			}
			rule.Cleanup(func() { s.Close() })
			return s
		}
	}
}

// M-01, P-01: every store behaves the same.
func TestStore(t *testing.T) {
	t.Parallel()
	for _, s := range stores[:testkit.Scale(3, len(stores))] {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			storetest.Run(t, s.open(t))
		})
	}
}
