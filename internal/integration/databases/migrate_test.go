package databases_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/keyhatch/keyhatch/internal/testkit"
	"github.com/keyhatch/keyhatch/store"
	"github.com/keyhatch/keyhatch/store/sqlstore"
	"github.com/keyhatch/keyhatch/store/storetest"
)

func migrateRole(ctx context.Context, s *sqlstore.Store, _ string) (string, error) {
	return "migrated", s.Migrate(ctx)
}

func TestTenProcessesMigrateANewDatabase(t *testing.T) {
	t.Parallel()
	for _, server := range servers {
		t.Run(server.name, func(t *testing.T) {
			for range testkit.Scale(1, 20) {
				dsn := server.dsn(t)
				var ps []*process
				for range 10 {
					ps = append(ps, start(t, "migrate", server.driver, server.dialect, dsn))
				}
				for _, p := range ps {
					p.send(t, "!")
				}
				for _, p := range ps {
					if answer := p.answer(t); answer != "migrated" {
						t.Errorf("one of ten processes returned %q", answer)
					}
				}
				works(t, newStore(t, server.dialect, testkit.OpenDB(t, server.driver, dsn), nil))
			}
		})
	}
}

func TestMigrateRefusesANewerSchema(t *testing.T) {
	forEach(t, databases, func(t *testing.T, d database, db *sql.DB, s *sqlstore.Store) {
		for _, version := range []int{5, 1000, -1} {
			testkit.ExecuteOn(t, db, fmt.Sprintf("UPDATE keyhatch_keys_version SET version = %d", version))
			err := s.Migrate(t.Context())
			if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("schema version %d,", version)) ||
				!strings.Contains(err.Error(), "up to 4") {
				t.Errorf("version %d: got %v, want an error with both versions", version, err)
			}
			if got := testkit.QueryValue[int](t, db, "SELECT version FROM keyhatch_keys_version"); got != version {
				t.Errorf("version after Migrate refused version %d: got %d", version, got)
			}
		}
	})
}

// A program that knows only an earlier version works on newer tables if it starts without Migrate.
func TestNewerSchemaWithoutMigrate(t *testing.T) {
	t.Parallel()
	for _, d := range databases {
		t.Run(d.name, func(t *testing.T) {
			db := d.open(t)
			sqlStore(t, d.dialect, db)
			testkit.ExecuteOn(t, db, "UPDATE keyhatch_keys_version SET version = 5")
			works(t, newStore(t, d.dialect, db, nil))
		})
	}
}

// PostgreSQL does not use the index that a failed CREATE INDEX CONCURRENTLY leaves.
func TestMigrateRefusesAnInvalidIndex(t *testing.T) {
	t.Parallel()
	d := servers[0]
	db := d.open(t)
	s := sqlStore(t, d.dialect, db)
	insert(t, s, record("o", "k1"), record("o", "k2"))
	testkit.ExecuteOn(t, db, "DROP INDEX keyhatch_keys_current")
	if _, err := db.ExecContext(t.Context(), "CREATE UNIQUE INDEX CONCURRENTLY keyhatch_keys_current ON keyhatch_keys (owner)"); err == nil {
		t.Fatal("a unique index on two equal values was created")
	}
	for _, version := range []int{4, 3} {
		testkit.ExecuteOn(t, db, fmt.Sprintf("UPDATE keyhatch_keys_version SET version = %d", version))
		err := newStore(t, d.dialect, db, nil).Migrate(t.Context())
		if err == nil || !strings.Contains(err.Error(), ": keyhatch_keys_current;") || !strings.Contains(err.Error(), "drop the index") {
			t.Errorf("Migrate from version %d with an invalid index: got %v, want an error with its name", version, err)
		}
		if got := testkit.QueryValue[int](t, db, "SELECT version FROM keyhatch_keys_version"); got != version {
			t.Errorf("version after a migration from %d that returned an error: got %d", version, got)
		}
	}
	testkit.ExecuteOn(t, db, "DROP INDEX keyhatch_keys_current")
	sqlStore(t, d.dialect, db)
	if !testkit.QueryValue[bool](t, db, "SELECT indisvalid FROM pg_index WHERE indexrelid = 'keyhatch_keys_current'::regclass") {
		t.Error("the index is invalid after it was dropped and Migrate returned nil")
	}
}

// The next migration completes an interrupted one. MySQL keeps the statements that succeeded,
// PostgreSQL none.
func TestMigrateGoesOnWhereItBrokeOff(t *testing.T) {
	t.Parallel()
	steps := []string{"create table", "select 1, 0", "octet_length(digest)", "keyhatch_keys_owners", "values (1, 1)", "add column", "keyhatch_keys_replaced", "version = 2",
		"revoked bigint", "with recursive slots", "version = 3", "keyhatch_keys_current", "version = 4"}
	for _, server := range proxied {
		for _, step := range steps {
			t.Run(server.name+" "+step, func(t *testing.T) {
				t.Parallel()
				for _, plan := range []func(proxy, string) *cut{proxy.cutMessage, proxy.cutReply} {
					dsn := server.dsn(t)
					p, through := startProxy(t, dsn)
					c := plan(p, step)
					err := newStore(t, server.dialect, testkit.OpenDB(t, server.driver, through), nil).Migrate(t.Context())
					if !c.made.Load() || err == nil {
						t.Fatalf("Migrate was not interrupted: %v", err)
					}
					works(t, sqlStore(t, server.dialect, testkit.OpenDB(t, server.driver, dsn)))
				}
			})
		}
	}
}

// Table names that are SQL keywords, in a schema other than the connection's.
func TestTablesOfAnyNameInAnySchema(t *testing.T) {
	t.Parallel()
	for _, server := range servers {
		t.Run(server.name, func(t *testing.T) {
			db := server.open(t)
			schema := newSchema(t, server, db, testkit.NewName())
			for _, table := range []string{"order", "select", "user", "_", strings.Repeat("t", 48)} {
				works(t, migrated(t, server.dialect, db, &sqlstore.Options{Table: table, Schema: schema}))
			}
			works(t, migrated(t, server.dialect, db, &sqlstore.Options{Table: "order"}))
		})
	}
}

func TestSchemaIsCalledAsAKeyword(t *testing.T) {
	for _, server := range servers {
		t.Run(server.name, func(t *testing.T) {
			db := server.open(t)
			o := &sqlstore.Options{Table: "table", Schema: newSchema(t, server, db, "order")}
			works(t, migrated(t, server.dialect, db, o))
		})
	}
}

func newSchema(t *testing.T, server database, db *sql.DB, name string) string {
	t.Helper()
	quoted, cascade := "`"+name+"`", ""
	if server.dialect == sqlstore.PostgreSQL {
		quoted, cascade = `"`+name+`"`, " CASCADE"
	}
	testkit.ExecuteOn(t, db, "CREATE SCHEMA "+quoted)
	t.Cleanup(func() { testkit.ExecuteOn(t, db, "DROP SCHEMA "+quoted+cascade) })
	return name
}

// Two tables in one database, or with one name in two schemas, are separate stores.
func TestTablesDoNotSeeEachOther(t *testing.T) {
	t.Parallel()
	for _, server := range servers {
		t.Run(server.name, func(t *testing.T) {
			db := server.open(t)
			for _, o := range []sqlstore.Options{
				{}, {Table: "staging"}, {Table: "production"}, {Schema: newSchema(t, server, db, testkit.NewName())},
			} {
				works(t, migrated(t, server.dialect, db, &o)) // works needs an empty store
			}
		})
	}
}

// A team with its own migrations can run the SQL files, and give the program no right to change
// the schema.
func TestSchemaFilesByHand(t *testing.T) {
	t.Parallel()
	for _, server := range servers {
		t.Run(server.name, func(t *testing.T) {
			made := server.open(t)
			sqlStore(t, server.dialect, made)
			dsn := server.dsn(t)
			runFiles(t, server, dsn)
			byHand := testkit.OpenDB(t, server.driver, dsn)
			if got, want := describe(t, server, byHand), describe(t, server, made); got != want {
				t.Errorf("tables that the file creates: got\n%s\nwant those of Migrate\n%s", got, want)
			}
			s := newStore(t, server.dialect, testkit.OpenDB(t, server.driver, asWorker(t, server, dsn)), nil)
			if err := s.Migrate(t.Context()); err != nil {
				t.Errorf("Migrate after the file, without the right to change the schema: %v", err)
			}
			works(t, s)
		})
	}
}

// The tables equal those of Migrate, as the test above shows, so the whole suite runs only with
// the full counts.
func TestSchemaFilesByHandHoldAStore(t *testing.T) {
	for _, server := range servers[:testkit.Scale(0, len(servers))] {
		t.Run(server.name, func(t *testing.T) {
			storetest.Run(t, func(t *testing.T) store.Store {
				dsn := server.dsn(t)
				runFiles(t, server, dsn)
				return newStore(t, server.dialect, testkit.OpenDB(t, server.driver, dsn), nil)
			})
		})
	}
}

// runFiles runs the files with the database's own client, if there is one.
func runFiles(t *testing.T, server database, dsn string) {
	t.Helper()
	for version := 1; ; version++ {
		text, err := os.ReadFile(fmt.Sprintf("../../../store/sqlstore/schema/%s/%d.sql", server.dialect, version))
		if errors.Is(err, fs.ErrNotExist) && version > 1 {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		runFile(t, server, dsn, text)
	}
}

func runFile(t *testing.T, server database, dsn string, text []byte) {
	t.Helper()
	client := psql
	if server.dialect == sqlstore.MySQL {
		client = mysqlClient
	}
	c := client(dsn)
	c.Stdin = bytes.NewReader(text)
	if c.Err != nil { // the client is not installed
		testkit.Execute(t, dsn, string(text))
		return
	}
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", c.Path, err, out)
	}
}

func psql(dsn string) *exec.Cmd {
	u := parsed(dsn)
	query := u.Query()
	schema := query.Get("search_path") // psql does not support it
	query.Del("search_path")
	u.RawQuery = query.Encode()
	c := exec.Command("psql", "-q", "-X", "-v", "ON_ERROR_STOP=1", u.String())
	c.Env = append(os.Environ(), "PGOPTIONS=-c search_path="+schema)
	return c
}

func mysqlClient(dsn string) *exec.Cmd {
	config := parsedMySQL(dsn)
	host, port, _ := net.SplitHostPort(config.Addr)
	c := exec.Command("mysql", "--no-defaults", "--protocol=tcp", "-h", host, "-P", port, "-u", config.User, config.DBName)
	c.Env = append(os.Environ(), "MYSQL_PWD="+config.Passwd)
	return c
}

// describe returns the database's description of the tables.
func describe(t *testing.T, server database, db *sql.DB) string {
	t.Helper()
	if server.dialect == sqlstore.PostgreSQL {
		return testkit.QueryValue[string](t, db, `SELECT replace(string_agg(line, E'\n' ORDER BY line), current_schema(), '') FROM (
			SELECT concat_ws(' ', table_name, column_name, data_type, is_nullable, column_default, collation_name) AS line
				FROM information_schema.columns WHERE table_schema = current_schema()
			UNION ALL SELECT indexdef FROM pg_indexes WHERE schemaname = current_schema()
			UNION ALL SELECT concat_ws(' ', conrelid::regclass, conname, pg_get_constraintdef(oid))
				FROM pg_constraint WHERE connamespace = current_schema()::regnamespace) AS lines`)
	}
	var tables []string
	for _, ending := range []string{"", "_owners", "_version", "_revocations"} {
		var name, create string
		err := db.QueryRowContext(t.Context(), "SHOW CREATE TABLE keyhatch_keys"+ending).Scan(&name, &create)
		if err != nil {
			t.Fatal(err)
		}
		tables = append(tables, create)
	}
	return strings.Join(tables, "\n")
}

// asWorker returns the data source name of a user who may only read and write rows, as in the
// package comment of sqlstore.
func asWorker(t *testing.T, server database, dsn string) string {
	t.Helper()
	grant := grantPostgres
	if server.dialect == sqlstore.MySQL {
		grant = grantMySQL
	}
	worker := grant(t, dsn, testkit.NewName())
	db := testkit.OpenDB(t, server.driver, worker)
	for _, statement := range []string{"CREATE TABLE other (n INTEGER)", "DELETE FROM keyhatch_keys", "DROP TABLE keyhatch_keys_owners",
		"ALTER TABLE keyhatch_keys ADD COLUMN n INTEGER", "CREATE INDEX i ON keyhatch_keys (name)"} {
		if _, err := db.ExecContext(t.Context(), statement); err == nil {
			t.Fatalf("the user can run a statement that was not granted: %s", statement)
		}
	}
	return worker
}

func grantPostgres(t *testing.T, dsn, name string) string {
	t.Helper()
	u := parsed(dsn)
	schema := u.Query().Get("search_path")
	testkit.Execute(t, dsn, fmt.Sprintf(`CREATE ROLE %[1]s LOGIN PASSWORD '%[1]s'; GRANT USAGE ON SCHEMA %[2]s TO %[1]s;
		GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA %[2]s TO %[1]s`, name, schema))
	t.Cleanup(func() { testkit.Execute(t, dsn, fmt.Sprintf("DROP OWNED BY %[1]s; DROP ROLE %[1]s", name)) })
	u.User = url.UserPassword(name, name)
	return u.String()
}

func grantMySQL(t *testing.T, dsn, name string) string {
	t.Helper()
	config := parsedMySQL(dsn)
	testkit.Execute(t, dsn, fmt.Sprintf(`CREATE USER %[1]s@'%%' IDENTIFIED BY '%[1]s';
		GRANT SELECT, INSERT, UPDATE ON %[2]s.* TO %[1]s@'%%'`, name, config.DBName))
	t.Cleanup(func() { testkit.Execute(t, dsn, "DROP USER "+name) })
	config.User, config.Passwd = name, name
	return config.FormatDSN()
}
