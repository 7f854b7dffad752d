package main

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5"
	"github.com/keyhatch/keyhatch/store/storetest/testserver"
)

func TestMain(m *testing.M) { os.Exit(testserver.Run(m)) }

// The program prints the expected lines with each database.
func TestStores(t *testing.T) {
	addresses := map[string]func(*testing.T) string{"sqlite": sqliteFile, "postgresql": postgresqlDatabase, "mysql": mysqlDatabase}
	if len(addresses) != len(open) {
		t.Errorf("the test has %d kinds of database, want %d", len(addresses), len(open))
	}
	want := regexp.MustCompile(`^created acme_\w{4}\naccepted, the owner is user_1\nrevoked\nrefused\n$`)
	for kind, address := range addresses {
		t.Run(kind, func(t *testing.T) {
			to := address(t)
			for range 2 { // the tables already exist the second time
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

// postgresqlDatabase returns the address of a new schema.
func postgresqlDatabase(t *testing.T) string {
	execute := func(dsn, statement string) error {
		ctx := context.WithoutCancel(t.Context())
		conn, err := pgx.Connect(ctx, dsn)
		if err != nil {
			return err
		}
		_, err = conn.Exec(ctx, statement)
		return errors.Join(err, conn.Close(ctx))
	}
	dsn := testserver.PostgreSQL(t, func(dsn string) error { return execute(dsn, "") })
	to, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	schema := fmt.Sprintf("test_%x", rand.Uint64())
	if err := execute(dsn, "CREATE SCHEMA "+schema); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := execute(dsn, "DROP SCHEMA "+schema+" CASCADE"); err != nil {
			t.Error(err)
		}
	})
	query := to.Query()
	query.Set("search_path", schema)
	to.RawQuery = query.Encode()
	return to.String()
}

// mysqlDatabase creates a database on the server and returns its address.
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
	config, err := mysql.ParseDSN(dsn)
	if err != nil {
		t.Fatal(err)
	}
	config.DBName = fmt.Sprintf("test_%x", rand.Uint64())
	if err := execute(dsn, "CREATE DATABASE "+config.DBName); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := execute(dsn, "DROP DATABASE "+config.DBName); err != nil {
			t.Error(err)
		}
	})
	return config.FormatDSN()
}
