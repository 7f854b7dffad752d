package main

import (
	"bytes"
	"context"
	"database/sql"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/keyhatch/keyhatch/store/storetest/testserver"
)

func TestMain(m *testing.M) { os.Exit(testserver.Run(m)) }

// The program does what it says in each database.
func TestStores(t *testing.T) {
	addresses := map[string]func(*testing.T) string{"sqlite": sqliteFile, "postgresql": postgresqlDatabase, "mysql": mysqlDatabase}
	if len(addresses) != len(open) {
		t.Errorf("%d kinds of database are tested, want %d", len(addresses), len(open))
	}
	want := regexp.MustCompile(`^created acme_\w{4}\naccepted, the owner is user_1\nrevoked\nrefused\n$`)
	for kind, address := range addresses {
		t.Run(kind, func(t *testing.T) {
			to := address(t)
			for range 2 { // the tables are there the second time
				var out bytes.Buffer
				if err := run(t.Context(), &out, kind, to); err != nil {
					t.Fatal(err)
				}
				if !want.Match(out.Bytes()) {
					t.Errorf("got %q, want %s", out.Bytes(), want)
				}
			}
		})
	}
}

func sqliteFile(t *testing.T) string { return filepath.Join(t.TempDir(), "keys.db") }

func postgresqlDatabase(t *testing.T) string {
	return testserver.PostgreSQL(t, func(dsn string) error {
		conn, err := pgx.Connect(t.Context(), dsn)
		if err != nil {
			return err
		}
		return conn.Close(t.Context())
	})
}

// mysqlDatabase makes the database, since a server is given without one.
func mysqlDatabase(t *testing.T) string {
	execute := func(dsn, statement string) error {
		db, err := sql.Open("mysql", dsn)
		if err != nil {
			return err
		}
		defer db.Close()
		_, err = db.ExecContext(context.WithoutCancel(t.Context()), statement)
		return err
	}
	dsn := testserver.MySQL(t, func(dsn string) error { return execute(dsn, "DO 1") })
	if err := execute(dsn, "CREATE DATABASE IF NOT EXISTS keyhatch_example"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := execute(dsn, "DROP DATABASE keyhatch_example"); err != nil {
			t.Error(err)
		}
	})
	return dsn + "keyhatch_example"
}
