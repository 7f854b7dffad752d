package cluster_test

import (
	"context"
	"testing"
	"time"

	"github.com/keyhatch/keyhatch/internal/testkit"
	"github.com/redis/go-redis/v9"
)

// servers holds a database and a Redis server.
type servers struct {
	postgres, redis string          // the data source name, and the address
	database, cache *testkit.Server // nil for shared ones
}

// sharedServers returns the servers for tests that do not disturb them.
func sharedServers(t testing.TB) *servers {
	t.Helper()
	return &servers{postgres: testkit.UsePostgreSQL(t), redis: testkit.UseRedis(t)}
}

// ownServers starts servers that the test may disturb.
func ownServers(t testing.TB) *servers {
	t.Helper()
	s := &servers{database: testkit.StartPostgreSQL(t, "max_connections=300"), cache: testkit.StartRedis(t)}
	s.postgres, s.redis = s.database.DSN(), s.cache.DSN()
	return s
}

// schema creates a schema, which is dropped with the server or after the test, and returns
// the data source name that leads to it.
func (s *servers) schema(t testing.TB) string {
	t.Helper()
	if s.database == nil {
		return testkit.SetParam(s.postgres, "search_path", testkit.CreateSchema(t, s.postgres))
	}
	name := testkit.NewName()
	testkit.Execute(t, s.postgres, "CREATE SCHEMA "+name)
	return testkit.SetParam(s.postgres, "search_path", name)
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
