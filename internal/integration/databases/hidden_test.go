package databases_test

import (
	"context"
	"database/sql"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/keyhatch/keyhatch/apikey"
	"github.com/keyhatch/keyhatch/internal/testkit"
	"github.com/keyhatch/keyhatch/store"
	"github.com/keyhatch/keyhatch/store/sqlstore"
)

// A hiding is a way in which PostgreSQL hides rows of the table %[1]s from the user %[2]s.
type hiding struct {
	name     string
	owner    bool // the user owns the table
	hide     []string
	harmless bool // no rows are hidden from this user
}

var hidings = []hiding{
	{name: "no policy", hide: []string{"ALTER TABLE %[1]s ENABLE ROW LEVEL SECURITY"}},
	{name: "no policy, forced", owner: true, hide: []string{"ALTER TABLE %[1]s ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY"}},
	{name: "not forced", owner: true, harmless: true, hide: []string{"ALTER TABLE %[1]s ENABLE ROW LEVEL SECURITY"}},
	{name: "forced, not enabled", owner: true, harmless: true, hide: []string{"ALTER TABLE %[1]s FORCE ROW LEVEL SECURITY"}},
	{name: "some rows", hide: []string{
		"CREATE POLICY p ON %[1]s USING (%[1]s::text > 'x')", "ALTER TABLE %[1]s ENABLE ROW LEVEL SECURITY"}},
	{name: "reads only", hide: []string{
		"CREATE POLICY p ON %[1]s FOR SELECT USING (true)", "ALTER TABLE %[1]s ENABLE ROW LEVEL SECURITY"}},
	{name: "bypassed", harmless: true, hide: []string{"ALTER TABLE %[1]s ENABLE ROW LEVEL SECURITY", "ALTER ROLE %[2]s BYPASSRLS"}},
}

func (h hiding) apply(t *testing.T, admin *sql.DB, table, user string) {
	t.Helper()
	for _, statement := range h.hide {
		testkit.ExecuteOn(t, admin, strings.NewReplacer("%[1]s", table, "%[2]s", user).Replace(statement))
	}
}

func (h hiding) undo(t *testing.T, admin *sql.DB, table, user string) {
	t.Helper()
	testkit.ExecuteOn(t, admin, "ALTER TABLE "+table+" DISABLE ROW LEVEL SECURITY, NO FORCE ROW LEVEL SECURITY")
	testkit.ExecuteOn(t, admin, "DROP POLICY IF EXISTS p ON "+table)
	testkit.ExecuteOn(t, admin, "ALTER ROLE "+user+" NOBYPASSRLS")
}

// A schemaUser is a user of a PostgreSQL schema from whom rows can be hidden. The tests' own user
// is a superuser, who sees all rows.
type schemaUser struct {
	admin, db    *sql.DB
	name, schema string
}

func newSchemaUser(t *testing.T, owner bool) schemaUser {
	t.Helper()
	dsn := testkit.UseSchema(t)
	schema := testkit.GetParam(dsn, "search_path")
	admin := testkit.OpenDB(t, "pgx", dsn)
	sqlStore(t, sqlstore.PostgreSQL, admin)
	name := testkit.NewName()
	worker := grantPostgres(t, dsn, name)
	if owner {
		for _, ending := range []string{"", "_owners", "_version", "_revocations"} {
			testkit.ExecuteOn(t, admin, "ALTER TABLE keyhatch_keys"+ending+" OWNER TO "+name)
		}
		t.Cleanup(func() { testkit.ExecuteOn(t, admin, "REASSIGN OWNED BY "+name+" TO "+parsed(dsn).User.Username()) })
	}
	return schemaUser{admin, testkit.OpenDB(t, "pgx", worker), name, schema}
}

// Migrate refuses row-level security if it hides rows from the user.
func TestMigrateRefusesRowLevelSecurity(t *testing.T) {
	t.Parallel()
	for _, h := range hidings {
		for _, table := range []string{"keyhatch_keys", "keyhatch_keys_owners", "keyhatch_keys_version", "keyhatch_keys_revocations"} {
			t.Run(h.name+" "+table, func(t *testing.T) {
				t.Parallel()
				user := newSchemaUser(t, h.owner)
				h.apply(t, user.admin, table, user.name)
				for pools, s := range map[string]*sqlstore.Store{
					"the pool":           newStore(t, sqlstore.PostgreSQL, user.db, nil),
					"the pool for reads": newStore(t, sqlstore.PostgreSQL, user.admin, &sqlstore.Options{Reads: user.db}),
				} {
					err := s.Migrate(t.Context())
					if h.harmless {
						if err != nil {
							t.Errorf("%s: %v", pools, err)
						}
						continue
					}
					allFail(t, map[string]error{pools: err}, "row-level security may hide rows of "+table+" from user "+user.name)
					allFail(t, map[string]error{pools: err}, "BYPASSRLS")
				}
				if h.harmless {
					works(t, newStore(t, sqlstore.PostgreSQL, user.db, nil))
				}
			})
		}
	}
}

// if row-level security is enabled while a Store runs, every call that reads returns an
// outage error. None returns "not found", an empty list or (0, nil).
func TestRowLevelSecurityWhileOpen(t *testing.T) {
	t.Parallel()
	for _, h := range hidings {
		t.Run(h.name, func(t *testing.T) {
			t.Parallel()
			user := newSchemaUser(t, h.owner)
			s := sqlStore(t, sqlstore.PostgreSQL, user.db)
			had := someKeys(t, s)
			callLookup(t, s) // which may prepare it
			h.apply(t, user.admin, "keyhatch_keys", user.name)
			if h.harmless {
				recovered(t, s, had)
				return
			}
			hidden(t, s, "row-level security")
			h.undo(t, user.admin, "keyhatch_keys", user.name)
			recovered(t, s, had)
		})
	}
}

// hidden fails the test unless every call that reads keys returns an outage error with this cause.
func hidden(t *testing.T, s store.Store, cause string) {
	t.Helper()
	errs := callEach(t.Context(), s)
	delete(errs, "Touch")  // a use may be lost
	delete(errs, "Insert") // the database refuses or stores it
	ctx := t.Context()
	_, errs["Lookup of none"] = s.Lookup(ctx, record("o", "none").Digest)
	_, errs["Get of none"] = s.Get(ctx, "o", "none")
	_, errs["List of none"] = s.List(ctx, store.Query{Owner: "nobody"})
	_, errs["List of a part"] = s.List(ctx, store.Query{Owner: "o", Filter: store.FilterCurrent, At: epoch})
	_, errs["Count of none"] = s.Count(ctx, "nobody", epoch)
	_, errs["RevokeAll of none"] = s.RevokeAll(ctx, "nobody", epoch, "closed")
	errs["Insert at a limit"] = s.Insert(ctx, record("o", "k5"), 1)
	_, errs["Update of none"] = s.Update(ctx, "o", "none", store.Change{At: epoch})
	_, _, errs["Revoke of none"] = s.Revoke(ctx, "o", "none", epoch, "leaked")
	allFail(t, errs, cause)
}

// calls for an owner whose row is hidden return an outage error. They lock the row, and the
// database itself refuses to lock hidden rows.
func TestHiddenOwnersAreAnOutage(t *testing.T) {
	t.Parallel()
	user := newSchemaUser(t, false)
	s := sqlStore(t, sqlstore.PostgreSQL, user.db)
	had := someKeys(t, s)
	h := hidings[0]
	h.apply(t, user.admin, "keyhatch_keys_owners", user.name)
	errs := callEach(t.Context(), s)
	delete(errs, "Touch")
	writesFail(t, errs, "row-level security policy")
	h.undo(t, user.admin, "keyhatch_keys_owners", user.name)
	recovered(t, s, had)
}

// R-18, H-14: a request with a hidden key gets 503, so that no client discards its key.
func TestHiddenKeyIs503(t *testing.T) {
	t.Parallel()
	user := newSchemaUser(t, false)
	s := sqlStore(t, sqlstore.PostgreSQL, user.db)
	_, token := manager(t, s)
	hidings[0].apply(t, user.admin, "keyhatch_keys", user.name)
	fresh, err := apikey.New(s, nil) // a Manager that has not cached the token
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { fresh.Close(context.WithoutCancel(t.Context())) })
	if status := statusOf(fresh, token); status != http.StatusServiceUnavailable {
		t.Errorf("a hidden key: got status %d, want 503", status)
	}
	if revoked, err := fresh.RevokeAll(t.Context(), "o", "closed"); !errors.Is(err, apikey.ErrUnavailable) {
		t.Errorf("RevokeAll of hidden keys: got %v, %v, want %v", revoked, err, apikey.ErrUnavailable)
	}
}

// a view that replaces a table may hide rows. Migrate refuses such a view. If it is created
// later, every call returns an outage error. SQLite and MySQL have no other way to hide rows.
func TestViewInPlaceOfATable(t *testing.T) {
	t.Parallel()
	causes := map[sqlstore.Dialect]string{
		sqlstore.PostgreSQL: "a view may hide rows", sqlstore.MySQL: "doesn't exist in table 'keyhatch_keys'",
	}
	for _, d := range databases {
		t.Run(d.name, func(t *testing.T) {
			db := d.open(t)
			s := sqlStore(t, d.dialect, db)
			had := someKeys(t, s)
			callLookup(t, s)
			testkit.ExecuteOn(t, db, "ALTER TABLE keyhatch_keys RENAME TO elsewhere")
			testkit.ExecuteOn(t, db, "CREATE VIEW keyhatch_keys AS SELECT * FROM elsewhere WHERE id <> 'k2'")
			if cause := causes[d.dialect]; cause != "" { // with SQLite, only writes detect it
				hidden(t, s, cause)
			}
			err := newStore(t, d.dialect, db, nil).Migrate(t.Context())
			allFail(t, map[string]error{"Migrate": err}, "view")
			allFail(t, map[string]error{"Migrate": err}, "keyhatch_keys")
			testkit.ExecuteOn(t, db, "DROP VIEW keyhatch_keys")
			testkit.ExecuteOn(t, db, "ALTER TABLE elsewhere RENAME TO keyhatch_keys")
			recovered(t, s, had)
		})
	}
}

// temporary tables of a connection do not replace the tables. MySQL uses a temporary table
// even if the statement names the database, so the host must not create one with this name.
func TestTemporaryTablesHideNothing(t *testing.T) {
	t.Parallel()
	for _, d := range databases[:2] {
		t.Run(d.name, func(t *testing.T) {
			db := d.open(t)
			db.SetMaxOpenConns(1)
			s := newStore(t, d.dialect, db, &sqlstore.Options{})
			if d.dialect == sqlstore.PostgreSQL { // with the schema that was found
				s, _ = sqlstore.New(db, d.dialect, &sqlstore.Options{Table: uniqueTable(t, db)})
			}
			if err := s.Migrate(t.Context()); err != nil {
				t.Fatal(err)
			}
			had := someKeys(t, s)
			table := testkit.QueryValue[string](t, db, tableNames[d.dialect])
			testkit.ExecuteOn(t, db, "CREATE TEMPORARY TABLE "+table+" AS SELECT * FROM "+table+" WHERE id = 'none'")
			recovered(t, s, had)
		})
	}
}

// tableNames holds queries for the table of the only Store in a database or schema.
var tableNames = map[sqlstore.Dialect]string{
	sqlstore.SQLite:     "SELECT name FROM sqlite_schema WHERE name LIKE '%keys'",
	sqlstore.PostgreSQL: "SELECT relname FROM pg_class WHERE relnamespace = current_schema()::regnamespace AND relname LIKE 'only%keys' AND relkind = 'r'",
}

// uniqueTable returns a table name that no other schema has.
func uniqueTable(t *testing.T, _ *sql.DB) string {
	t.Helper()
	return "only_" + testkit.NewName() + "_keys"
}

// with another search path, the Store uses the same tables and creates none.
func TestSearchPath(t *testing.T) {
	t.Parallel()
	dsn, other := testkit.UseSchema(t), testkit.UseSchema(t)
	db := testkit.OpenDB(t, "pgx", dsn)
	o := &sqlstore.Options{Table: uniqueTable(t, db)}
	open := func(db *sql.DB) *sqlstore.Store {
		s, err := sqlstore.New(db, sqlstore.PostgreSQL, o)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	s := open(db)
	if err := s.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	had := someKeys(t, s)

	err := open(testkit.OpenDB(t, "pgx", other)).Migrate(t.Context())
	allFail(t, map[string]error{"Migrate": err}, "one in schema "+testkit.GetParam(dsn, "search_path")+": set Options.Schema")

	// Both are in the path, the empty schema first.
	both := testkit.OpenDB(t, "pgx", testkit.SetParam(dsn, "search_path", testkit.GetParam(other, "search_path")+","+testkit.GetParam(dsn, "search_path")))
	second := open(both)
	if err := second.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := testkit.QueryValue[int](t, db, "SELECT count(*) FROM pg_class WHERE relnamespace = '"+testkit.GetParam(other, "search_path")+"'::regnamespace"); n != 0 {
		t.Errorf("tables in the first schema: got %d, want 0", n)
	}
	recovered(t, second, had)

	// The search path of a running Store's connections changes to a schema with tables.
	named := *o
	named.Schema = testkit.GetParam(other, "search_path")
	migrated(t, sqlstore.PostgreSQL, db, &named)
	db.SetMaxOpenConns(1)
	testkit.ExecuteOn(t, db, "SET search_path = "+testkit.GetParam(other, "search_path"))
	if _, err := s.Get(t.Context(), "o", "k1"); err != nil {
		t.Errorf("Get after the search path changed: %v", err)
	}
	if page, err := s.List(t.Context(), store.Query{Owner: "o"}); err != nil || len(page.Records) == 0 {
		t.Errorf("List after the search path changed: got %d keys, %v", len(page.Records), err)
	}
}

// Migrate refuses a pool for reads of another database or file, since a replica returns old
// rows. TestServersInTrouble tests another server.
func TestReadsMustLeadToTheSameServer(t *testing.T) {
	t.Parallel()
	for _, d := range databases[:2] { // for MySQL, all databases of a server are the same place
		t.Run(d.name, func(t *testing.T) {
			db := d.open(t)
			var o sqlstore.Options
			o.Reads = testkit.OpenDB(t, d.driver, elsewhere(t, d))
			if d.dialect == sqlstore.PostgreSQL {
				o.Schema = testkit.QueryValue[string](t, db, "SELECT current_schema()")
				testkit.ExecuteOn(t, o.Reads, "CREATE SCHEMA "+o.Schema)
				migrated(t, d.dialect, o.Reads, &sqlstore.Options{Schema: o.Schema})
			} else {
				migrated(t, d.dialect, o.Reads, nil)
			}
			err := newStore(t, d.dialect, db, &o).Migrate(t.Context())
			allFail(t, map[string]error{"Migrate": err}, "Options.Reads leads to another")
		})
	}
}

// elsewhere returns the data source name of another database or file.
func elsewhere(t *testing.T, d database) string {
	t.Helper()
	if d.dialect == sqlstore.PostgreSQL {
		return encodedDSN(t, "UTF8")
	}
	return d.dsn(t)
}

// Migrate refuses a session that truncates lists.
func TestMySQLSelectLimit(t *testing.T) {
	t.Parallel()
	dsn := mysqlDSN(t, "")
	s := sqlStore(t, sqlstore.MySQL, testkit.OpenDB(t, "mysql", dsn))
	had := someKeys(t, s)
	short := testkit.OpenDB(t, "mysql", withMySQLParams(dsn, "sql_select_limit=1"))
	cut := newStore(t, sqlstore.MySQL, short, nil)
	allFail(t, map[string]error{"Migrate": cut.Migrate(t.Context())}, "@@sql_select_limit hides rows")
	hidden(t, cut, "@@sql_select_limit hides rows")
	recovered(t, s, had)
}

// Migrate refuses a column whose character set cannot represent some texts.
func TestMySQLCharsetOfAColumn(t *testing.T) {
	t.Parallel()
	db := mysqlDB(t, "")
	s := sqlStore(t, sqlstore.MySQL, db)
	testkit.ExecuteOn(t, db, "ALTER TABLE keyhatch_keys MODIFY name TEXT CHARACTER SET latin1 NOT NULL")
	allFail(t, map[string]error{"Migrate": s.Migrate(t.Context())}, "column name of keyhatch_keys has the charset latin1, want utf8mb4")
}
