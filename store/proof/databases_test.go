package proof_test

import (
	"database/sql"
	"path/filepath"
	"testing"

	"github.com/keyhatch/keyhatch/store/sqlstore"
	_ "modernc.org/sqlite" // the driver "sqlite"
)

// A database is one of those that sqlstore speaks to.
type database struct {
	name    string
	dialect sqlstore.Dialect
	open    func(testing.TB) *sql.DB // an empty one, which goes with the test
}

var databases = []database{
	{"SQLite", sqlstore.SQLite, sqliteDB},
	{"PostgreSQL", sqlstore.PostgreSQL, postgresDB},
	{"MariaDB", sqlstore.MySQL, func(t testing.TB) *sql.DB { return mysqlDB(t, "") }},
}

// servers are those of the databases that many processes share.
var servers = databases[1:]

// sqliteDB has one connection, since SQLite has one writer.
func sqliteDB(t testing.TB) *sql.DB {
	t.Helper()
	file := filepath.Join(t.TempDir(), "keys.db")
	db := openDB(t, "sqlite", "file:"+file+"?_pragma=journal_mode(WAL)&_pragma=busy_timeout(100)")
	db.SetMaxOpenConns(1)
	return db
}

// sqlStore is a Store on db, with its tables made.
func sqlStore(t testing.TB, d sqlstore.Dialect, db *sql.DB) *sqlstore.Store {
	t.Helper()
	return migrated(t, d, db, nil)
}

func migrated(t testing.TB, d sqlstore.Dialect, db *sql.DB, o *sqlstore.Options) *sqlstore.Store {
	t.Helper()
	s := newStore(t, d, db, o)
	if err := s.Migrate(t.Context()); err != nil {
		t.Fatalf("Migrate: %v", err)
	}
	return s
}

func newStore(t testing.TB, d sqlstore.Dialect, db *sql.DB, o *sqlstore.Options) *sqlstore.Store {
	t.Helper()
	s, err := sqlstore.New(db, d, o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}
