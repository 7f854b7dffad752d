package databases_test

import (
	"context"
	"database/sql"
	"io"
	"log"
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/go-sql-driver/mysql"
	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
	"github.com/keyhatch/keyhatch/internal/testkit"
)

func TestMain(m *testing.M) {
	if role := os.Getenv("KEYHATCH_ROLE"); role != "" {
		os.Exit(play(role))
	}
	mysql.SetLogger(log.New(io.Discard, "", 0)) // it would log connections that are cut on purpose
	os.Exit(testkit.Run(m))
}

// poolSize is the maximum number of connections of a test, so that many tests can run in parallel.
const poolSize = 10

// mysqlDSN returns the data source name of a new database, which is dropped after the test. The
// parameters are the driver's, such as "parseTime=true&charset=latin1".
func mysqlDSN(t testing.TB, params string) string {
	t.Helper()
	return withMySQLParams(testkit.UseDatabase(t), params)
}

// mysqlDB returns a pool of connections to a new database.
func mysqlDB(t testing.TB, params string) *sql.DB {
	t.Helper()
	return openDB(t, "mysql", mysqlDSN(t, params))
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

// ask returns the single value of a query.
func ask[T any](t testing.TB, db *sql.DB, query string, args ...any) (v T) {
	t.Helper()
	if err := db.QueryRowContext(t.Context(), query, args...).Scan(&v); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return v
}

// withMySQLParams adds parameters to a data source name.
func withMySQLParams(dsn, params string) string {
	if params == "" {
		return dsn
	}
	if strings.Contains(dsn, "?") {
		return dsn + "&" + params
	}
	return dsn + "?" + params
}

func parsed(dsn string) *url.URL {
	u, err := url.Parse(dsn)
	if err != nil {
		panic(err)
	}
	return u
}

func parsedMySQL(dsn string) *mysql.Config {
	config, err := mysql.ParseDSN(dsn)
	if err != nil {
		panic(err)
	}
	return config
}
