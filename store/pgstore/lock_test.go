package pgstore_test

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// A lock locks an owner's row, so that writes for that owner wait.
type lock struct {
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
	return &lock{conn, tx}
}

// waitFor returns when n sessions wait for the lock.
func (l *lock) waitFor(t *testing.T, n int) {
	t.Helper()
	for {
		var waiting int
		const statement = `SELECT count(*) FROM pg_stat_activity WHERE pg_backend_pid() = ANY (pg_blocking_pids(pid))`
		if err := l.tx.QueryRow(t.Context(), statement).Scan(&waiting); err != nil {
			t.Fatal(err)
		}
		if waiting >= n {
			return
		}
		time.Sleep(time.Millisecond) // the server must be polled
	}
}

func (l *lock) release(t *testing.T) {
	t.Helper()
	if err := l.tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
}
