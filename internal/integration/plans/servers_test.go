package plans_test

import (
	"context"
	"database/sql"
	"io"
	"log"
	"os"
	"testing"

	"github.com/go-sql-driver/mysql"
	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
	"github.com/keyhatch/keyhatch/internal/testkit"
)

func TestMain(m *testing.M) {
	if dsn := os.Getenv("KEYHATCH_PUT"); dsn != "" {
		os.Exit(putFromAProcess(dsn))
	}
	mysql.SetLogger(log.New(io.Discard, "", 0)) // it would log connections that tests cut on purpose
	os.Exit(testkit.Run(m))
}

// poolSize is the maximum number of connections of a test, so that many tests can run in
// parallel.
const poolSize = 8

// ask returns the single value of a query.
func ask[T any](t testing.TB, db *sql.DB, query string, args ...any) (v T) {
	t.Helper()
	if err := db.QueryRowContext(t.Context(), query, args...).Scan(&v); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return v
}

func openDB(t testing.TB, driver, dsn string) *sql.DB {
	t.Helper()
	db, err := sql.Open(driver, dsn)
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(poolSize)
	db.SetMaxIdleConns(poolSize)
	t.Cleanup(func() { db.Close() })
	return db
}

// execute runs a statement as another program would.
func execute(t testing.TB, db *sql.DB, statement string, args ...any) {
	t.Helper()
	// t.Context has ended in cleanups.
	if _, err := db.ExecContext(context.WithoutCancel(t.Context()), statement, args...); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}
