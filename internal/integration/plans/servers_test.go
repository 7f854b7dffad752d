package plans_test

import (
	"context"
	"database/sql"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5"
	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
	"github.com/keyhatch/keyhatch/store/storetest/testserver"
)

func TestMain(m *testing.M) {
	if dsn := os.Getenv("KEYHATCH_PUT"); dsn != "" {
		os.Exit(putFromAProcess(dsn))
	}
	mysql.SetLogger(log.New(io.Discard, "", 0)) // it would log connections that tests cut on purpose
	os.Exit(testserver.Run(m))
}

// poolSize is the maximum number of connections of a test, so that many tests can run in
// parallel.
const poolSize = 8

// postgresServer returns the data source name of the server that the tests share.
func postgresServer(t testing.TB) string {
	t.Helper()
	return testserver.PostgreSQL(t, ping("pgx"))
}

// mysqlServer returns the same for MariaDB.
func mysqlServer(t testing.TB) string {
	t.Helper()
	return testserver.MySQL(t, ping("mysql"))
}

func ping(driver string) func(dsn string) error {
	return func(dsn string) error {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		db, err := sql.Open(driver, dsn)
		if err != nil {
			return err
		}
		defer db.Close()
		return db.PingContext(ctx)
	}
}

// postgresDSN returns the data source name of a new schema, which is dropped after the
// test.
func postgresDSN(t testing.TB) string {
	t.Helper()
	server, schema := postgresServer(t), unique()
	execPostgres(t, server, "CREATE SCHEMA "+schema)
	t.Cleanup(func() { execPostgres(t, server, "DROP SCHEMA "+schema+" CASCADE") })
	return withParam(server, "search_path", schema)
}

// schemaOf returns the schema in a data source name of postgresDSN, or "".
func schemaOf(dsn string) string {
	if !strings.HasPrefix(dsn, "postgres:") {
		return ""
	}
	u, err := url.Parse(dsn)
	if err != nil {
		return ""
	}
	return u.Query().Get("search_path")
}

// ask returns the single value of a query.
func ask[T any](t testing.TB, db *sql.DB, query string, args ...any) (v T) {
	t.Helper()
	if err := db.QueryRowContext(t.Context(), query, args...).Scan(&v); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return v
}

// mysqlDSN returns the data source name of a new database, which is dropped after the test.
func mysqlDSN(t testing.TB) string {
	t.Helper()
	server, name := mysqlServer(t), unique()
	execMySQL(t, server, "CREATE DATABASE "+name)
	t.Cleanup(func() { execMySQL(t, server, "DROP DATABASE "+name) })
	config := parsedMySQL(server)
	config.DBName = name
	return config.FormatDSN()
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

// execPostgres runs statements on a new connection.
func execPostgres(t testing.TB, dsn, statements string) {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	if _, err := conn.PgConn().Exec(ctx, statements).ReadAll(); err != nil {
		t.Fatalf("%s: %v", statements, err)
	}
}

// execMySQL does the same for MariaDB.
func execMySQL(t testing.TB, dsn, statements string) {
	t.Helper()
	config := parsedMySQL(dsn)
	config.MultiStatements = true
	db, err := sql.Open("mysql", config.FormatDSN())
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	execute(t, db, statements)
}

// withParam adds a parameter to a PostgreSQL data source name.
func withParam(dsn, name, value string) string {
	u := parsed(dsn)
	query := u.Query()
	query.Set(name, value)
	u.RawQuery = strings.ReplaceAll(query.Encode(), "+", "%20") // pgx does not decode a plus as a space
	return u.String()
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

// unique returns a name that no other test uses.
func unique() string { return fmt.Sprintf("test_%x", rand.Uint64()) }
