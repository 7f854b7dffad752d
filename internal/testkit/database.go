package testkit

import (
	"context"
	"database/sql"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// UseSchema creates a schema on the shared PostgreSQL server, drops it after the test, and
// returns the data source name that leads to it.
func UseSchema(tb testing.TB) string {
	tb.Helper()
	dsn := UsePostgreSQL(tb)
	return SetParam(dsn, "search_path", CreateSchema(tb, dsn))
}

// UseDatabase creates a database on the shared MySQL server, drops it after the test, and
// returns the data source name that leads to it.
func UseDatabase(tb testing.TB) string {
	tb.Helper()
	dsn, name := UseMySQL(tb), NewName()
	Execute(tb, dsn, "CREATE DATABASE "+name)
	tb.Cleanup(func() { Execute(tb, dsn, "DROP DATABASE "+name) })
	server, params, _ := strings.Cut(dsn, "?")
	return strings.TrimSuffix(server[:strings.LastIndex(server, "/")+1]+name+"?"+params, "?")
}

// CreateSchema creates a schema, drops it after the test, and returns its name.
func CreateSchema(tb testing.TB, dsn string) string {
	tb.Helper()
	name := NewName()
	Execute(tb, dsn, "CREATE SCHEMA "+name)
	tb.Cleanup(func() { Execute(tb, dsn, "DROP SCHEMA "+name+" CASCADE") })
	return name
}

// Execute runs statements on a new connection, even after the test has ended. The caller
// imports the driver, "pgx" or "mysql".
func Execute(tb testing.TB, dsn, statements string) {
	tb.Helper()
	driver := "pgx"
	if !strings.HasPrefix(dsn, "postgres") {
		driver, dsn = "mysql", SetParam(dsn, "multiStatements", "true")
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(tb.Context()), time.Minute)
	defer cancel()
	db, err := sql.Open(driver, dsn)
	if err != nil {
		tb.Fatal(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(ctx, statements); err != nil {
		tb.Fatalf("%s: %v", statements, err)
	}
}

// PoolSize is the maximum number of connections of [OpenDB]'s pool, so that many tests can
// run in parallel.
const PoolSize = 10

// OpenDB opens a pool of connections, and closes it after the test. The caller imports the
// driver.
func OpenDB(tb testing.TB, driver, dsn string) *sql.DB {
	tb.Helper()
	db, err := sql.Open(driver, dsn)
	if err != nil {
		tb.Fatal(err)
	}
	db.SetMaxOpenConns(PoolSize)
	db.SetMaxIdleConns(PoolSize)
	tb.Cleanup(func() { db.Close() })
	return db
}

// ExecuteOn runs a statement on a pool, even after the test has ended.
func ExecuteOn(tb testing.TB, db *sql.DB, statement string, args ...any) {
	tb.Helper()
	if _, err := db.ExecContext(context.WithoutCancel(tb.Context()), statement, args...); err != nil {
		tb.Fatalf("%s: %v", statement, err)
	}
}

// QueryValue returns the single value of a query.
func QueryValue[T any](tb testing.TB, db *sql.DB, query string, args ...any) (v T) {
	tb.Helper()
	if err := db.QueryRowContext(tb.Context(), query, args...).Scan(&v); err != nil {
		tb.Fatalf("%s: %v", query, err)
	}
	return v
}

// SetParam returns a data source name in which a parameter has the value.
func SetParam(dsn, name, value string) string {
	server, params, _ := strings.Cut(dsn, "?")
	pairs := slices.DeleteFunc(strings.Split(params, "&"), func(pair string) bool {
		return pair == "" || strings.HasPrefix(pair, name+"=")
	})
	value = strings.ReplaceAll(url.QueryEscape(value), "+", "%20") // pgx does not decode a plus as a space
	return server + "?" + strings.Join(append(pairs, name+"="+value), "&")
}

// GetParam returns the value of a parameter of a data source name, or "".
func GetParam(dsn, name string) string {
	_, text, _ := strings.Cut(dsn, "?")
	params, _ := url.ParseQuery(text)
	return params.Get(name)
}

var address = regexp.MustCompile(`[@(]([^@()/]+:\d+)[)/]`)

// AddressOf returns the host and port in a data source name, or "".
func AddressOf(dsn string) string {
	if m := address.FindStringSubmatch(dsn); m != nil {
		return m[1]
	}
	return ""
}

// SetAddress returns a data source name that leads to another address.
func SetAddress(dsn, to string) string { return strings.Replace(dsn, AddressOf(dsn), to, 1) }

// KeepBusy uses all connections of the pool until the test ends, for the call and for slower
// statements.
func KeepBusy(t testing.TB, db *sql.DB, call func(context.Context)) {
	ctx, cancel := context.WithCancel(t.Context())
	var others sync.WaitGroup
	for range 8 {
		others.Go(func() {
			for ctx.Err() == nil {
				call(ctx)
				if conn, err := db.Conn(ctx); err == nil {
					time.Sleep(5 * time.Millisecond)
					conn.Close()
				}
			}
		})
	}
	t.Cleanup(others.Wait)
	t.Cleanup(cancel)
}
