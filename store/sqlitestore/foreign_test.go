package sqlitestore_test

import (
	"database/sql"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/keyhatch/keyhatch/store"
	"github.com/keyhatch/keyhatch/store/sqlitestore"
	"github.com/keyhatch/keyhatch/store/sqlstore"
)

// raw opens a connection with which a test changes the file directly.
func raw(t *testing.T, file string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", file)
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	t.Cleanup(func() { db.Close() })
	return db
}

func execute(t *testing.T, db *sql.DB, statement string) {
	t.Helper()
	if _, err := db.ExecContext(t.Context(), statement); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

// a row that another program has damaged counts as an outage, never as a record.
func TestDamagedRowIsAnOutage(t *testing.T) {
	t.Parallel()
	for name, damage := range map[string]string{
		"scopes are not JSON":     `UPDATE keyhatch_keys SET scopes = '['`,
		"scopes are an object":    `UPDATE keyhatch_keys SET scopes = '{}'`,
		"scopes are numbers":      `UPDATE keyhatch_keys SET scopes = '[1]'`,
		"metadata is a string":    `UPDATE keyhatch_keys SET metadata = '"x"'`,
		"metadata is nested":      `UPDATE keyhatch_keys SET metadata = '{"a":{}}'`,
		"metadata is empty":       `UPDATE keyhatch_keys SET metadata = ''`,
		"metadata has two values": `UPDATE keyhatch_keys SET metadata = '{}{}'`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := newFile(t)
			s := open(t, file)
			insert(t, s, record("o", "k1"))
			execute(t, raw(t, file), damage)
			_, lookup := s.Lookup(t.Context(), record("o", "k1").Digest)
			_, get := s.Get(t.Context(), "o", "k1")
			_, list := s.List(t.Context(), store.Query{Owner: "o"})
			for call, err := range map[string]error{"Lookup": lookup, "Get": get, "List": list} {
				if err == nil || errors.Is(err, store.ErrNotFound) {
					t.Errorf("%s of a damaged row: got %v, want an outage", call, err)
				}
			}
		})
	}
}

func TestSchemaRefusesInvalidRows(t *testing.T) {
	t.Parallel()
	file := newFile(t)
	s := open(t, file)
	insert(t, s, record("o", "k1"), record("o", "k2"))
	db := raw(t, file)
	for _, damage := range []string{
		`UPDATE keyhatch_keys SET digest = x'00'`, `UPDATE keyhatch_keys SET digest = NULL`, `UPDATE keyhatch_keys SET owner = ''`,
		`UPDATE keyhatch_keys SET owner = NULL`, `UPDATE keyhatch_keys SET id = 'same'`, `UPDATE keyhatch_keys SET id = ''`,
		`UPDATE keyhatch_keys SET created_at = 'yesterday'`, `UPDATE keyhatch_keys SET revoked_at = 'soon'`,
	} {
		if _, err := db.Exec(damage); err == nil {
			t.Errorf("the schema must refuse %s", damage)
		}
	}
}

func TestOpenRefusesANewerSchema(t *testing.T) {
	t.Parallel()
	file := newFile(t)
	open(t, file).Close()
	execute(t, raw(t, file), "UPDATE keyhatch_keys_version SET version = 1000")
	s, err := sqlitestore.Open(t.Context(), file)
	if err == nil {
		s.Close()
		t.Fatal("Open accepted a file of a later version")
	}
	for _, part := range []string{"version 1000", "up to 4"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("got %v, want an error with %q", err, part)
		}
	}
}

func TestHostsTablesAreLeftAlone(t *testing.T) {
	t.Parallel()
	file := newFile(t)
	db := raw(t, file)
	execute(t, db, "CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT)")
	execute(t, db, "PRAGMA user_version = 42")
	execute(t, db, "INSERT INTO users VALUES (1, 'ann')")
	insert(t, open(t, file), record("o", "k1"))
	var name string
	var version int
	if err := db.QueryRow("SELECT name FROM users").Scan(&name); err != nil || name != "ann" {
		t.Errorf("the host's table must not change: got %q, %v", name, err)
	}
	if err := db.QueryRow("PRAGMA user_version").Scan(&version); err != nil || version != 42 {
		t.Errorf("the host's user_version must not change: got %d, %v", version, err)
	}
}

// Two Stores on different tables of one database are independent.
func TestOwnTableName(t *testing.T) {
	t.Parallel()
	db := raw(t, filepath.Join(t.TempDir(), "host.db"))
	var stores []*sqlstore.Store
	for _, table := range []string{"", "staging_keys"} {
		s, err := sqlstore.New(db, sqlstore.SQLite, &sqlstore.Options{Table: table})
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := s.Migrate(t.Context()); err != nil {
				t.Fatalf("Migrate: %v", err)
			}
		}
		run(t, s)
		stores = append(stores, s)
	}
	insert(t, stores[1], record("o", "staged"))
	if _, err := stores[0].Get(t.Context(), "o", "staged"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("a record of one table was found in the other: %v", err)
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	db := raw(t, newFile(t))
	for name, c := range map[string]struct {
		db      *sql.DB
		dialect sqlstore.Dialect
		table   string
	}{
		"no database":                   {nil, sqlstore.SQLite, ""},
		"no dialect":                    {db, "", ""},
		"unknown dialect":               {db, "oracle", ""},
		"injection":                     {db, sqlstore.SQLite, "keys; DROP TABLE users"},
		"quoted":                        {db, sqlstore.SQLite, `"keys"`},
		"schema and table":              {db, sqlstore.SQLite, "main.keys"},
		"upper case":                    {db, sqlstore.SQLite, "Keys"},
		"digit first":                   {db, sqlstore.SQLite, "1keys"},
		"too long":                      {db, sqlstore.SQLite, strings.Repeat("k", 49)},
		"another Store's version table": {db, sqlstore.SQLite, "keys_version"},
		"a table of plans":              {db, sqlstore.SQLite, "keys_rejected"},
		"newline at the end":            {db, sqlstore.SQLite, "keys\n"},
	} {
		s, err := sqlstore.New(c.db, c.dialect, &sqlstore.Options{Table: c.table})
		if err == nil || c.table != "" && !strings.HasPrefix(err.Error(), "sqlstore: new: invalid Options.Table: ") {
			t.Errorf("New with %s: got %v, %v, want an error that names the option", name, s, err)
		}
	}
}

// A write through one pool is visible to the other pool at once.
func TestAcknowledgedWriteIsVisibleAtOnce(t *testing.T) {
	t.Parallel()
	s := open(t, newFile(t))
	for i := range 200 {
		r := record("o", "k"+strings.Repeat("x", i))
		insert(t, s, r)
		if _, err := s.Lookup(t.Context(), r.Digest); err != nil {
			t.Fatalf("a call must see every write that returned before it: %v", err)
		}
	}
}
