package databases_test

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
	if role := os.Getenv("KEYHATCH_ROLE"); role != "" {
		os.Exit(play(role))
	}
	mysql.SetLogger(log.New(io.Discard, "", 0)) // it tells of connections that are cut on purpose
	os.Exit(testserver.Run(m))
}

// poolSize is how many connections a test has open at most, so that many
// tests may run beside each other.
const poolSize = 10

// postgresServer is the data source name of the server that the tests share.
func postgresServer(t testing.TB) string {
	t.Helper()
	return testserver.PostgreSQL(t, ping("pgx"))
}

// mysqlServer is the same for MariaDB.
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

// postgresDSN names a new schema, which goes with the test.
func postgresDSN(t testing.TB) string {
	t.Helper()
	server, schema := postgresServer(t), unique()
	execPostgres(t, server, "CREATE SCHEMA "+schema)
	t.Cleanup(func() { execPostgres(t, server, "DROP SCHEMA "+schema+" CASCADE") })
	return withParam(server, "search_path", schema)
}

// schemaOf is the schema that a data source name has from postgresDSN, or "".
func schemaOf(dsn string) string {
	if !strings.HasPrefix(dsn, "postgres:") {
		return ""
	}
	return parsed(dsn).Query().Get("search_path")
}

// mysqlDSN names a new database, which goes with the test. The parameters are
// the driver's, as in "parseTime=true&charset=latin1".
func mysqlDSN(t testing.TB, params string) string {
	t.Helper()
	server, name := mysqlServer(t), unique()
	execMySQL(t, server, "CREATE DATABASE "+name)
	t.Cleanup(func() { execMySQL(t, server, "DROP DATABASE "+name) })
	config := parsedMySQL(server)
	config.DBName = name
	return withMySQLParams(config.FormatDSN(), params)
}

// mysqlDB is a pool of connections to a new database.
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

// execute does what others may do to a database.
func execute(t testing.TB, db *sql.DB, statement string, args ...any) {
	t.Helper()
	// Also when the test is over.
	if _, err := db.ExecContext(context.WithoutCancel(t.Context()), statement, args...); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

// ask reads the one value that a query has for an answer.
func ask[T any](t testing.TB, db *sql.DB, query string, args ...any) (v T) {
	t.Helper()
	if err := db.QueryRowContext(t.Context(), query, args...).Scan(&v); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return v
}

// execPostgres runs statements on a connection of their own.
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

// execMySQL is the same for MariaDB.
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

// withParam is a PostgreSQL data source name with one more parameter.
func withParam(dsn, name, value string) string {
	u := parsed(dsn)
	query := u.Query()
	query.Set(name, value)
	u.RawQuery = strings.ReplaceAll(query.Encode(), "+", "%20") // pgx takes a plus for a plus
	return u.String()
}

// withMySQLParams is the same for MariaDB.
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

// unique names something that no other test has.
func unique() string { return fmt.Sprintf("test_%x", rand.Uint64()) }
