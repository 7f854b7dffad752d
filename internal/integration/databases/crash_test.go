package databases_test

import (
	"context"
	"database/sql"
	"io"
	"testing"

	"github.com/keyhatch/keyhatch/internal/testkit"
	"github.com/keyhatch/keyhatch/store"
	"github.com/keyhatch/keyhatch/store/pgstore"
	"github.com/keyhatch/keyhatch/store/sqlstore"
	"github.com/keyhatch/keyhatch/store/storetest"
)

// a program that is killed loses nothing acknowledged.
func TestKilledProgramLosesNothing(t *testing.T) {
	t.Parallel()
	kills := testkit.Scale(2, 100)
	t.Run("sqlstore on PostgreSQL", func(t *testing.T) {
		storetest.Crash(t, kills, testkit.UseSchema, opener(servers[0]))
	})
	t.Run("pgstore", func(t *testing.T) {
		storetest.Crash(t, kills, testkit.UseSchema, openerOfPgstore)
	})
	t.Run("sqlstore on MariaDB", func(t *testing.T) {
		storetest.Crash(t, kills, servers[1].dsn, opener(servers[1]))
	})
}

// a server that is killed loses nothing acknowledged, and the program continues when the
// server is back.
func TestKilledServerLosesNothing(t *testing.T) {
	t.Parallel()
	kills := testkit.Scale(2, 100)
	t.Run("sqlstore on PostgreSQL", func(t *testing.T) {
		killServer(t, kills, opener(servers[0]), durablePostgres)
	})
	if !testkit.Soak() {
		return // each start of a server takes a second
	}
	t.Run("pgstore", func(t *testing.T) {
		killServer(t, kills, openerOfPgstore, durablePostgres)
	})
	t.Run("sqlstore on MariaDB", func(t *testing.T) {
		killServer(t, kills, opener(servers[1]), durableMySQL)
	})
}

// durablePostgres starts a server that syncs each acknowledged write.
func durablePostgres(t testing.TB) (*testkit.Server, string) {
	t.Helper()
	server := testkit.StartPostgreSQL(t)
	for _, setting := range []string{"fsync", "synchronous_commit", "full_page_writes"} {
		if on := testkit.QueryValue[string](t, testkit.OpenDB(t, "pgx", server.DSN()), "SHOW "+setting); on != "on" {
			t.Fatalf("%s: got %s, want on", setting, on)
		}
	}
	return server, server.DSN()
}

func durableMySQL(t testing.TB) (*testkit.Server, string) {
	t.Helper()
	server := testkit.StartMySQL(t)
	if n := testkit.QueryValue[int](t, testkit.OpenDB(t, "mysql", server.DSN()), "SELECT @@innodb_flush_log_at_trx_commit"); n != 1 {
		t.Fatalf("innodb_flush_log_at_trx_commit: got %d, want 1", n)
	}
	config, name := parsedMySQL(server.DSN()), testkit.NewName()
	testkit.Execute(t, server.DSN(), "CREATE DATABASE "+name)
	config.DBName = name
	return server, config.FormatDSN()
}

func killServer(t *testing.T, kills int, open storetest.Opener, start func(testing.TB) (*testkit.Server, string)) {
	t.Helper()
	var server *testkit.Server
	address := func(t testing.TB) (dsn string) {
		server, dsn = start(t)
		return dsn
	}
	storetest.CrashServer(t, kills, address, open, func() error {
		server.Kill()
		server.Start()
		return nil
	})
}

func opener(d database) storetest.Opener {
	return func(ctx context.Context, dsn string) (store.Store, io.Closer, error) {
		db, err := sql.Open(d.driver, dsn)
		if err != nil {
			return nil, nil, err
		}
		db.SetMaxIdleConns(testkit.PoolSize)
		s, err := sqlstore.New(db, d.dialect, &sqlstore.Options{Schema: testkit.GetParam(dsn, "search_path")})
		if err != nil {
			return nil, nil, err
		}
		return s, db, s.Migrate(ctx)
	}
}

func openerOfPgstore(ctx context.Context, dsn string) (store.Store, io.Closer, error) {
	s, err := pgstore.Open(ctx, dsn, &pgstore.Options{Schema: testkit.GetParam(dsn, "search_path")})
	return s, s, err
}
