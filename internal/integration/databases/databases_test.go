package databases_test

import (
	"database/sql"
	"path/filepath"
	"testing"

	"github.com/keyhatch/keyhatch/internal/testkit"
	"github.com/keyhatch/keyhatch/store/sqlstore"
	_ "modernc.org/sqlite" // the driver "sqlite"
)

// A database is one of the supported databases.
type database struct {
	name, driver string
	dialect      sqlstore.Dialect
	dsn          func(testing.TB) string // of an empty database, which is dropped after the test
}

var databases = []database{
	{"SQLite", "sqlite", sqlstore.SQLite, sqliteDSN},
	{"PostgreSQL", "pgx", sqlstore.PostgreSQL, testkit.UseSchema},
	{"MariaDB", "mysql", sqlstore.MySQL, func(t testing.TB) string { return mysqlDSN(t, "") }},
}

// servers lists the databases that are not a file.
var servers = databases[1:]

// open returns a pool of connections to an empty database.
func (d database) open(t testing.TB) *sql.DB {
	t.Helper()
	db := testkit.OpenDB(t, d.driver, d.dsn(t))
	if d.dialect == sqlstore.SQLite {
		db.SetMaxOpenConns(1) // SQLite has one writer
	}
	return db
}

// forEach runs a test on each of the databases in parallel, with a Store on a pool.
func forEach(t *testing.T, of []database, check func(t *testing.T, d database, db *sql.DB, s *sqlstore.Store)) {
	t.Parallel()
	for _, d := range of {
		t.Run(d.name, func(t *testing.T) {
			t.Parallel()
			db := d.open(t)
			check(t, d, db, sqlStore(t, d.dialect, db))
		})
	}
}

func sqliteDSN(t testing.TB) string {
	file := filepath.Join(t.TempDir(), "keys.db")
	return "file:" + file + "?_pragma=journal_mode(WAL)&_pragma=busy_timeout(100)"
}

// sqlStore returns a Store on db with its tables.
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

// newStore names the schema if the Options name none. Without a name, Migrate would create no
// tables, since other tests have tables in other schemas of the database.
func newStore(t testing.TB, d sqlstore.Dialect, db *sql.DB, o *sqlstore.Options) *sqlstore.Store {
	t.Helper()
	var opts sqlstore.Options
	if o != nil {
		opts = *o
	}
	if d == sqlstore.PostgreSQL && opts.Schema == "" {
		opts.Schema = testkit.QueryValue[string](t, db, "SELECT current_schema()")
	}
	s, err := sqlstore.New(db, d, &opts)
	if err != nil {
		t.Fatal(err)
	}
	return s
}
