package plans_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/keyhatch/keyhatch/entitlement/sqlprovider"
	"github.com/keyhatch/keyhatch/internal/testkit"
	"github.com/keyhatch/keyhatch/store"
	"github.com/keyhatch/keyhatch/store/sqlstore"
)

// Invariant 9: a read that gets no connection while other calls are served is not an outage,
// even if these are calls of the keys' Store, which has the same pool.
func TestBusyPoolIsNotOutage(t *testing.T) {
	forEach(t, func(t *testing.T, d database) {
		p, db := d.start(t)
		keys, err := sqlstore.New(db, d.dialect, &sqlstore.Options{Schema: schemaOf(t, d, db)})
		if err != nil {
			t.Fatal(err)
		}
		if err := keys.Migrate(t.Context()); err != nil {
			t.Fatal(err)
		}
		put(t, p, bought("ann", "sub_1", "pro"), true)
		db.SetMaxOpenConns(1)
		t.Run("by the keys' Store", func(t *testing.T) {
			testkit.KeepBusy(t, db, func(ctx context.Context) { _, _ = keys.Lookup(ctx, store.Digest{1}) })
			becomesBusy(t, p)
		})
		t.Run("by other reads of the Provider", func(t *testing.T) {
			testkit.KeepBusy(t, db, func(ctx context.Context) { _, _ = p.Entitlement(ctx, "ann") })
			becomesBusy(t, p)
		})
		if e, err := p.Entitlement(t.Context(), "ann"); err != nil || e.Plan != "pro" {
			t.Errorf("afterwards: got %+v, %v, want the plan", e, err)
		}
	})
}

// becomesBusy repeats Entitlement until it returns ErrBusy.
func becomesBusy(t *testing.T, p *sqlprovider.Provider) {
	t.Helper()
	var err error
	for began := time.Now(); !errors.Is(err, store.ErrBusy); {
		if time.Since(began) > 20*time.Second {
			t.Fatalf("Entitlement with a busy pool: got %v, want ErrBusy", err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		_, err = p.Entitlement(ctx, "ann")
		cancel()
	}
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Entitlement with a busy pool: got %v, want the context's error as well", err)
	}
}

// Invariant 9: reads that get no connection while no call is served are an outage.
func TestHangingPoolIsAnOutage(t *testing.T) {
	forEach(t, func(t *testing.T, d database) {
		p, db := d.start(t)
		put(t, p, bought("ann", "sub_1", "pro"), true)
		db.SetMaxOpenConns(1)
		hangs, err := db.Conn(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer hangs.Close()
		var reads sync.WaitGroup
		for range 4 {
			reads.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
				defer cancel()
				_, err := p.Entitlement(ctx, "ann")
				isOutage(t, err, "all 1 connections of the pool are in use", "a pool that hangs")
				if errors.Is(err, store.ErrBusy) {
					t.Errorf("a pool that hangs: got %v, want no ErrBusy", err)
				}
			})
		}
		reads.Wait()
	})
}
