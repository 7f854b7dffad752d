package cluster_test

import (
	"context"
	"net/url"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"

	"github.com/keyhatch/keyhatch/store/storetest/testserver"
)

func pingPostgres(dsn string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	return conn.Ping(ctx)
}

func pingRedis(address string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	client := redis.NewClient(&redis.Options{Addr: address})
	defer client.Close()
	return client.Ping(ctx).Err()
}

// servers are a database and a Redis.
type servers struct {
	postgres, redis string             // the data source name, and the address
	database, cache *testserver.Server // nil for shared ones
}

// sharedServers are those that the tests share which harm no server.
func sharedServers(t testing.TB) *servers {
	t.Helper()
	return &servers{postgres: testserver.PostgreSQL(t, pingPostgres), redis: testserver.Redis(t, pingRedis)}
}

// ownServers are the test's own, to be harmed.
func ownServers(t testing.TB) *servers {
	t.Helper()
	s := &servers{database: testserver.StartPostgreSQL(t, pingPostgres, "max_connections=300"), cache: testserver.StartRedis(t, pingRedis)}
	s.postgres, s.redis = s.database.DSN(), s.cache.DSN()
	return s
}

// schema makes a new one, which goes with the test, and returns the data source
// name that leads to it.
func (s *servers) schema(t testing.TB) string {
	t.Helper()
	name := unique()
	s.postgresDoes(t, "CREATE SCHEMA "+name)
	if s.database == nil {
		t.Cleanup(func() { s.postgresDoes(t, "DROP SCHEMA "+name+" CASCADE") })
	}
	return withParam(s.postgres, "search_path", name)
}

// schemaOf is the schema that a data source name has from schema. The tables of
// other tests are in other schemas of the database.
func schemaOf(dsn string) string {
	u, err := url.Parse(dsn)
	if err != nil {
		return ""
	}
	return u.Query().Get("search_path")
}

func (s *servers) postgresDoes(t testing.TB, statement string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 10*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, s.postgres)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, statement); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

func (s *servers) redisDoes(t testing.TB, command ...any) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 10*time.Second)
	defer cancel()
	client := redis.NewClient(&redis.Options{Addr: s.redis})
	defer client.Close()
	if err := client.Do(ctx, command...).Err(); err != nil {
		t.Fatalf("%v: %v", command, err)
	}
}

// withParam is a data source name with one more parameter.
func withParam(dsn, name, value string) string {
	u := parsed(dsn)
	query := u.Query()
	query.Set(name, value)
	u.RawQuery = query.Encode()
	return u.String()
}

// through is a data source name that leads to another address.
func through(dsn, address string) string {
	u := parsed(dsn)
	u.Host = address
	return u.String()
}

func parsed(dsn string) *url.URL {
	u, err := url.Parse(dsn)
	if err != nil {
		panic(err)
	}
	return u
}
