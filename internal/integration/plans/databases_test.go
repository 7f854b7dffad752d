package plans_test

import (
	"database/sql"
	"path/filepath"
	"testing"
	"time"

	"github.com/keyhatch/keyhatch/entitlement"
	"github.com/keyhatch/keyhatch/entitlement/sqlprovider"
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
	{"MariaDB", "mysql", sqlstore.MySQL, testkit.UseDatabase},
}

func sqliteDSN(t testing.TB) string {
	file := filepath.Join(t.TempDir(), "plans.db")
	return "file:" + file + "?_pragma=journal_mode(WAL)&_pragma=busy_timeout(10)"
}

// forEach runs a test on all databases in parallel.
func forEach(t *testing.T, check func(*testing.T, database)) {
	t.Parallel()
	for _, d := range databases {
		t.Run(d.name, func(t *testing.T) {
			t.Parallel()
			check(t, d)
		})
	}
}

// start returns a Provider on an empty database, and its pool.
func (d database) start(t testing.TB) (*sqlprovider.Provider, *sql.DB) {
	t.Helper()
	db := testkit.OpenDB(t, d.driver, d.dsn(t))
	return migrated(t, d, db), db
}

func migrated(t testing.TB, d database, db *sql.DB) *sqlprovider.Provider {
	t.Helper()
	p := newProvider(t, d, db, nil)
	if err := p.Migrate(t.Context()); err != nil {
		t.Fatalf("Migrate: %v", err)
	}
	return p
}

// newProvider names the schema if the Options name none. With only a search path, Migrate
// would find the tables of other tests in the database, and refuse to create more.
func newProvider(t testing.TB, d database, db *sql.DB, o *sqlprovider.Options) *sqlprovider.Provider {
	t.Helper()
	var opts sqlprovider.Options
	if o != nil {
		opts = *o
	}
	if opts.Schema == "" {
		opts.Schema = schemaOf(t, d, db)
	}
	p, err := sqlprovider.New(db, d.dialect, catalog(t), &opts)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// schemaOf returns the schema of PostgreSQL that the test uses, or "" for the other databases.
func schemaOf(t testing.TB, d database, db *sql.DB) string {
	t.Helper()
	if d.dialect != sqlstore.PostgreSQL {
		return ""
	}
	return testkit.QueryValue[string](t, db, "SELECT current_schema()")
}

func catalog(t testing.TB) *entitlement.Catalog {
	t.Helper()
	c, err := entitlement.NewCatalog(map[string]entitlement.Entitlement{
		"free": {}, "pro": {APIAccess: true, Rank: 1, MaxKeys: 5}, "max": {APIAccess: true, Rank: 2, MaxKeys: 50},
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// noon is an instant with microseconds.
var noon = time.Date(2026, 3, 1, 12, 0, 0, 123456000, time.UTC)

// bought returns a state of an owner's subscription that began at noon.
func bought(owner, id, plan string) entitlement.Subscription {
	return entitlement.Subscription{Owner: owner, ID: id, Plan: plan, Status: entitlement.Active, StartedAt: noon, UpdatedAt: noon}
}

// put stores a state and checks whether that changed something.
func put(t testing.TB, p *sqlprovider.Provider, s entitlement.Subscription, want bool) {
	t.Helper()
	changed, err := p.Put(t.Context(), s)
	if err != nil || changed != want {
		t.Fatalf("Put(%+v): got %v, %v, want %v", s, changed, err, want)
	}
}

// putHold stores a state of a hold and checks whether that changed something.
func putHold(t testing.TB, p *sqlprovider.Provider, h entitlement.Hold, want bool) {
	t.Helper()
	changed, err := p.PutHold(t.Context(), h)
	if err != nil || changed != want {
		t.Fatalf("PutHold(%+v): got %v, %v, want %v", h, changed, err, want)
	}
}

func purchases(t testing.TB, p *sqlprovider.Provider, owner string) entitlement.Purchases {
	t.Helper()
	bought, err := p.Purchases(t.Context(), owner)
	if err != nil {
		t.Fatal(err)
	}
	return bought
}

func subscriptions(t testing.TB, p *sqlprovider.Provider, owner string) []entitlement.Subscription {
	t.Helper()
	return purchases(t, p, owner).Subscriptions
}

func holds(t testing.TB, p *sqlprovider.Provider, owner string) []entitlement.Hold {
	t.Helper()
	return purchases(t, p, owner).Holds
}
