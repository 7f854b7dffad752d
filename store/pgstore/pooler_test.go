package pgstore_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/keyhatch/keyhatch/internal/testkit"
	"github.com/keyhatch/keyhatch/store"
	"github.com/keyhatch/keyhatch/store/pgstore"
	"github.com/keyhatch/keyhatch/store/storetest"
)

func TestStoreThroughPooler(t *testing.T) {
	t.Parallel()
	dsn := testkit.UsePostgreSQL(t)
	through := startBouncer(t, dsn, "transaction", 3)
	storetest.Run(t, func(t *testing.T) store.Store {
		return open(t, through, &pgstore.Options{Schema: testkit.CreateSchema(t, dsn)})
	})
}

func TestPoolerIsDetected(t *testing.T) {
	t.Parallel()
	dsn := testkit.UsePostgreSQL(t)
	schema := testkit.CreateSchema(t, dsn)
	transaction, session := startBouncer(t, dsn, "transaction", 2), startBouncer(t, dsn, "session", 20)
	for _, c := range []struct {
		name, dsn string
		want      pgx.QueryExecMode
	}{
		{"none", dsn, pgx.QueryExecModeCacheStatement},
		{"transaction", transaction, pgx.QueryExecModeCacheDescribe},
		{"session", session, pgx.QueryExecModeCacheDescribe},
		{"named without one", addParam(dsn, "default_query_exec_mode=describe_exec"), pgx.QueryExecModeDescribeExec},
		{"named", addParam(transaction, "default_query_exec_mode=exec"), pgx.QueryExecModeExec},
		{"named as the default", addParam(session, "default_query_exec_mode=cache_statement"), pgx.QueryExecModeCacheStatement},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := open(t, c.dsn, &pgstore.Options{Schema: schema})
			if got := s.Pool().Config().ConnConfig.DefaultQueryExecMode; got != c.want {
				t.Errorf("got query mode %v, want %v", got, c.want)
			}
			insert(t, s, record("o", c.name))
			if _, err := s.Lookup(t.Context(), record("o", c.name).Digest); err != nil {
				t.Errorf("Lookup: %v", err)
			}
		})
	}
}

// This is why Open detects a pooler: two clients prepare the same statement in one
// session.
func TestNamedStatementsBreakThroughPooler(t *testing.T) {
	t.Parallel()
	dsn := testkit.UsePostgreSQL(t)
	o := &pgstore.Options{Schema: testkit.CreateSchema(t, dsn)}
	through := startBouncer(t, dsn, "transaction", 1)
	insert(t, open(t, dsn, o), record("o", "k1"))
	lookups := func(dsn string) error {
		for range 2 {
			s, err := pgstore.Open(t.Context(), dsn, o)
			if err != nil {
				return err
			}
			defer s.Close()
			if _, err := s.Lookup(t.Context(), record("o", "k1").Digest); err != nil {
				return err
			}
		}
		return nil
	}
	if err := lookups(through); err != nil {
		t.Errorf("two clients of a pooler failed: %v", err)
	}
	var pgErr *pgconn.PgError
	const taken = "42P05" // prepared statement already exists
	if err := lookups(addParam(through, "default_query_exec_mode=cache_statement")); !errors.As(err, &pgErr) || pgErr.Code != taken {
		t.Errorf("named statements must fail through this pooler, or this test tests nothing: got %v, want SQLSTATE %s", err, taken)
	}
}

// Between the two steps of describe_exec, another client may prepare a statement,
// which then runs instead.
func TestDescribeExecIsRefusedThroughPooler(t *testing.T) {
	t.Parallel()
	through := startBouncer(t, testkit.UsePostgreSQL(t), "transaction", 1)
	wantRefused(t, addParam(through, "default_query_exec_mode=describe_exec"), "describe_exec can run other clients' statements")
}

func TestPoolerWithoutTransactionsIsRefused(t *testing.T) {
	t.Parallel()
	_, err := pgstore.Open(t.Context(), startBouncer(t, testkit.UsePostgreSQL(t), "statement", 2), nil)
	if err == nil || !strings.Contains(err.Error(), "set pool_mode = transaction") {
		t.Errorf("pooler in statement mode: got %v, want an error with the setting to change", err)
	}
}
