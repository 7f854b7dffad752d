package pgstore_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/keyhatch/keyhatch/internal/testkit"
	"github.com/keyhatch/keyhatch/store/pgstore"
)

// connect opens n connections and leaves them idle.
func connect(t *testing.T, s *pgstore.Store, n int) {
	t.Helper()
	var conns []*pgxpool.Conn
	for range n {
		conn, err := s.Pool().Acquire(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		conns = append(conns, conn)
	}
	for _, conn := range conns {
		conn.Release()
	}
}

// recovers fails unless at most n successive calls fail, each with an outage, and
// all later ones succeed.
func recovers(t *testing.T, s *pgstore.Store, n int) {
	t.Helper()
	failed := 0
	for i := range 3*n + 5 {
		var err error
		if id := fmt.Sprint("new", i); i%2 == 0 {
			_, err = s.Lookup(t.Context(), record("o", "k").Digest)
		} else if err = s.Insert(t.Context(), record("o", id), -1); err == nil {
			_, err = s.Get(t.Context(), "o", id)
		}
		if err != nil {
			failed++
			wantOutage(t, err, nil, "a call on a closed connection")
		}
	}
	if failed > n {
		t.Errorf("failed calls: got %d, want at most one for each of %d closed connections", failed, n)
	}
	t.Logf("%d calls failed for %d closed connections", failed, n)
}

func TestEndedConnectionsFailOnce(t *testing.T) {
	t.Parallel()
	dsn := testkit.UsePostgreSQL(t)
	application := testkit.NewName()
	s := open(t, addParam(dsn, "application_name="+application), &pgstore.Options{Schema: testkit.CreateSchema(t, dsn)})
	insert(t, s, record("o", "k"))
	connect(t, s, 5)
	testkit.Execute(t, dsn, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = '"+application+"'")
	recovers(t, s, 5)
}

// acknowledged writes survive a crash of the server, and other writes take
// effect in full or not at all.
func TestServerKilledMidCall(t *testing.T) {
	t.Parallel()
	server := testkit.StartPostgreSQL(t)
	dsn := logInAs(server.DSN(), user(server.DSN())+":"+canary, "postgres", "")
	s := open(t, dsn, nil)
	insert(t, s, record("o", "k"), record("o", "k1"), record("o", "k2"))
	if _, _, err := s.Revoke(t.Context(), "o", "k1", epoch, "leaked"); err != nil {
		t.Fatal(err)
	}
	connect(t, s, 5)
	lock := lockOwner(t, dsn, "public", "o")
	failed := make(chan error)
	go func() {
		_, _, err := s.Revoke(t.Context(), "o", "k2", epoch, "leaked")
		failed <- err
	}()
	lock.waitFor(t, 1)
	server.Kill()
	err := <-failed
	wantOutage(t, err, nil, "a call whose server crashes")
	testkit.WantNoCanary(t, err)
	for what, err := range everyCall(t, s) {
		wantOutage(t, err, nil, what+" without a server")
		testkit.WantNoCanary(t, err)
	}

	server.Start()
	recovers(t, s, 5)
	k1, err := s.Get(t.Context(), "o", "k1")
	if err != nil || !k1.RevokedAt.Equal(epoch) {
		t.Errorf("an acknowledged revocation was lost: got %+v, %v", k1, err)
	}
	k2, err := s.Get(t.Context(), "o", "k2")
	if err != nil || !k2.RevokedAt.IsZero() {
		t.Errorf("a call that never got the lock took effect: got %+v, %v", k2, err)
	}
}

func TestCancelledCallReturns(t *testing.T) {
	t.Parallel()
	dsn := testkit.UsePostgreSQL(t)
	schema := testkit.CreateSchema(t, dsn)
	s := open(t, dsn, &pgstore.Options{Schema: schema, MaxConns: 1})
	insert(t, s, record("o", "k1"))
	lock := lockOwner(t, dsn, schema, "o")
	ctx, cancel := context.WithCancel(t.Context())
	returned := make(chan error)
	go func() {
		_, _, err := s.Revoke(ctx, "o", "k1", epoch, "leaked")
		returned <- err
	}()
	lock.waitFor(t, 1)
	cancel()
	wantOutage(t, <-returned, context.Canceled, "a cancelled call") // while the lock is held
	if _, err := s.Lookup(t.Context(), record("o", "k1").Digest); err != nil {
		t.Errorf("the only connection is still in use after a cancelled call: %v", err)
	}
	lock.release(t)
	insert(t, s, record("o", "k2")) // gets the lock after the call that waited for it
	if r, err := s.Get(t.Context(), "o", "k1"); err != nil || !r.RevokedAt.IsZero() {
		t.Errorf("a cancelled call took effect: got %+v, %v", r, err)
	}
}

func TestServerWithoutAFreeConnection(t *testing.T) {
	t.Parallel()
	dsn := testkit.UsePostgreSQL(t)
	schema := testkit.CreateSchema(t, dsn)
	open(t, dsn, &pgstore.Options{Schema: schema})
	role := newRole(t, dsn, "CONNECTION LIMIT 4")
	testkit.Execute(t, dsn, "GRANT USAGE ON SCHEMA "+schema+" TO "+role)
	testkit.Execute(t, dsn, "GRANT SELECT ON ALL TABLES IN SCHEMA "+schema+" TO "+role)
	s := open(t, logInAs(dsn, role, "postgres", ""), &pgstore.Options{Schema: schema})
	var held []*pgxpool.Conn
	var err error
	for range defaults.maxConns {
		var conn *pgxpool.Conn
		if conn, err = s.Pool().Acquire(t.Context()); err != nil {
			break
		}
		held = append(held, conn)
	}
	_, err = s.Lookup(t.Context(), record("o", "k1").Digest)
	var pgErr *pgconn.PgError
	if wantOutage(t, err, nil, "a call while the server has no free connection"); !errors.As(err, &pgErr) || pgErr.Code != "53300" {
		t.Errorf("got %v, want an error with SQLSTATE 53300", err)
	}
	for _, conn := range held {
		conn.Release()
	}
	if _, err := s.Lookup(t.Context(), record("o", "k1").Digest); err == nil || !strings.Contains(err.Error(), "not found") {
		t.Errorf("a call after connections were released: %v", err)
	}
}
