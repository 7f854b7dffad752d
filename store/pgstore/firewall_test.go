package pgstore_test

import (
	"context"
	"testing"
	"time"

	"github.com/keyhatch/keyhatch/internal/testkit"
	"github.com/keyhatch/keyhatch/store/pgstore"
)

// Firewalls drop idle connections without notice, and then drop the packets.
func TestBlackholedConnectionIsReplaced(t *testing.T) {
	t.Parallel()
	dsn := testkit.UsePostgreSQL(t)
	wall := testkit.StartProxy(t, testkit.AddressOf(dsn))
	s := open(t, testkit.SetAddress(dsn, wall.Address()), &pgstore.Options{Schema: testkit.CreateSchema(t, dsn)})
	t.Cleanup(wall.Sever) // otherwise Close waits to terminate the blackholed connection
	insert(t, s, record("o", "k1"))
	wall.Blackhole()
	time.Sleep(1100 * time.Millisecond) // pgxpool pings a connection that was idle for more than a second
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if _, err := s.Lookup(ctx, record("o", "k1").Digest); err != nil {
		t.Errorf("a call on a blackholed connection failed: %v", err)
	}
}
