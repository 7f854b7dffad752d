package pgstore_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/keyhatch/keyhatch/internal/testkit"
)

// A lock locks an owner's row, so that writes for that owner wait.
type lock struct {
	dsn  string
	conn *pgx.Conn
	tx   pgx.Tx
}

// lockOwner locks the row of an owner who has had a key.
func lockOwner(t *testing.T, dsn, schema, owner string) *lock {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(context.WithoutCancel(t.Context())) })
	tx, err := conn.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	tag, err := tx.Exec(t.Context(), "SELECT FROM "+schema+".keyhatch_keys_owners WHERE owner = $1 FOR UPDATE", owner)
	if err != nil || tag.RowsAffected() != 1 {
		t.Fatalf("lock the owner's row: %v, %v", tag, err)
	}
	return &lock{dsn, conn, tx}
}

// waitFor returns when n sessions wait for the lock.
func (l *lock) waitFor(t *testing.T, n int) {
	t.Helper()
	awaitBlocked(t, l.dsn, l.conn, n)
}

// awaitBlocked waits until n sessions wait for a lock of the connection.
func awaitBlocked(t *testing.T, dsn string, conn *pgx.Conn, n int) {
	t.Helper()
	statement := fmt.Sprintf("SELECT (count(*) >= %d)::text FROM pg_stat_activity WHERE %d = ANY (pg_blocking_pids(pid))", n, conn.PgConn().PID())
	testkit.Await(t, "sessions wait for a lock", func() bool { return query(t, dsn, statement) == "true" })
}

func (l *lock) release(t *testing.T) {
	t.Helper()
	if err := l.tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
}
