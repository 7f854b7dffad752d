package pgstore_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/keyhatch/keyhatch/store"
	"github.com/keyhatch/keyhatch/store/pgstore"
)

// however many look-ups wait for the server, other calls find a connection.
func TestLookupsSpareConnections(t *testing.T) {
	t.Parallel()
	dsn := shared(t)
	schema := newSchema(t, dsn)
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
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		if _, err := s.Revocations(ctx); err != nil {
			t.Fatalf("Revocations beside look-ups that hang: %v", err)
		}
	}
}
