package pgstore_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/keyhatch/keyhatch/internal/testkit"
	"github.com/keyhatch/keyhatch/store"
	"github.com/keyhatch/keyhatch/store/pgstore"
)

// Invariant 9: a look-up that gets no connection returns ErrBusy if the server replied to
// other look-ups meanwhile, and an outage otherwise.
func TestLookupsThatGetNoConnection(t *testing.T) {
	t.Parallel()
	dsn := testkit.UsePostgreSQL(t)
	schema := testkit.CreateSchema(t, dsn)
	s := open(t, dsn, &pgstore.Options{Schema: schema, MaxConns: 3}) // one for look-ups
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(t.Context()))
	ctx, cancel := context.WithCancel(t.Context())
	var lookups sync.WaitGroup
	defer lookups.Wait()
	defer cancel()
	for range 100 {
		lookups.Go(func() {
			for ctx.Err() == nil {
				_, _ = s.Lookup(ctx, store.Digest{1})
			}
		})
	}
	once := func(wait time.Duration) error {
		ctx, cancel := context.WithTimeout(t.Context(), wait)
		defer cancel()
		_, err := s.Lookup(ctx, store.Digest{1})
		return err
	}
	for began := time.Now(); !errors.Is(err, store.ErrBusy); err = once(2 * time.Millisecond) {
		if time.Since(began) > 20*time.Second {
			t.Fatalf("a look-up during 100 others: got %v, want ErrBusy", err)
		}
	}
	if !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, store.ErrNotFound) {
		t.Errorf("a look-up during 100 others: got %v, want the context's error as well", err)
	}
	if _, err := conn.Exec(t.Context(), "BEGIN; LOCK TABLE "+schema+".keyhatch_keys"); err != nil {
		t.Fatal(err)
	}
	awaitBlocked(t, dsn, conn, 1) // so the server has replied to all earlier look-ups
	if err := once(500 * time.Millisecond); err == nil || errors.Is(err, store.ErrBusy) {
		t.Errorf("a look-up during 100 others that hang: got %v, want an outage error", err)
	}
}

// look-ups that wait for the server leave connections for other calls.
func TestLookupsLeaveConnections(t *testing.T) {
	t.Parallel()
	dsn := testkit.UsePostgreSQL(t)
	schema := testkit.CreateSchema(t, dsn)
	s := open(t, dsn, &pgstore.Options{Schema: schema, MaxConns: 4})
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(t.Context()))
	if _, err := conn.Exec(t.Context(), "BEGIN; LOCK TABLE "+schema+".keyhatch_keys"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var lookups sync.WaitGroup
	defer lookups.Wait()
	defer cancel()
	for range 10 {
		lookups.Go(func() { _, _ = s.Lookup(ctx, store.Digest{1}) })
	}
	for range 20 {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		if _, err := s.Revocations(ctx); err != nil {
			t.Fatalf("Revocations while look-ups hang: %v", err)
		}
	}
}
