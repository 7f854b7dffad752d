package apikey_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/keyhatch/keyhatch/apikey"
	"github.com/keyhatch/keyhatch/entitlement"
	"github.com/keyhatch/keyhatch/store/memstore"
)

// a key in use, and its owner's plan, are reloaded before their CacheTTL ends, so no
// validation waits for a slow store or provider. A change by another process is seen within
// CacheTTL and the time of one look-up.
func TestKeysInUseDoNotWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const slow = 2 * time.Second
		st := &spyStore{Store: memstore.New()}
		plans := entitlement.ProviderFunc(func(context.Context, string) (entitlement.Entitlement, error) {
			time.Sleep(slow)
			return entitlement.Entitlement{APIAccess: true}, nil
		})
		m := newManager(t, st, &apikey.Options{Entitlements: plans})
		issued := create(t, m, "o")
		st.before = func(op string) error {
			if op == "Lookup" {
				time.Sleep(slow)
			}
			return nil
		}
		wantValid(t, m, issued)
		use := func() (err error) {
			began := time.Now()
			_, err = m.Validate(t.Context(), issued.Secret.Reveal())
			if took := time.Since(began); took > 0 {
				t.Fatalf("Validate of a key in use took %v, want 0", took)
			}
			time.Sleep(100 * time.Millisecond)
			return err
		}
		for began := time.Now(); time.Since(began) < 10*time.Minute; {
			if err := use(); err != nil {
				t.Fatal(err)
			}
		}
		if n := st.lookups.Load(); n > 16 {
			t.Errorf("look-ups in ten minutes: got %d, want at most one in 43 s", n)
		}
		if _, _, err := st.Store.Revoke(t.Context(), "o", issued.Key.ID, time.Now(), ""); err != nil {
			t.Fatal(err)
		}
		for revoked := time.Now(); use() == nil; {
			if time.Since(revoked) > time.Minute+slow {
				t.Fatalf("a key was accepted %v after another process had revoked it", time.Since(revoked))
			}
		}
	})
}

// A key in use is renewed in the shared cache too, so that not every instance calls the
// store.
func TestRenewalsUseShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st, shared := &spyStore{Store: memstore.New()}, &memoryShared{}
		var managers []*apikey.Manager
		for range 5 {
			managers = append(managers, newManager(t, st, &apikey.Options{SharedCache: shared}))
		}
		issued := create(t, managers[0], "o")
		time.Sleep(2 * time.Minute) // the instance that created the key uses only the store for a while
		for began := time.Now(); time.Since(began) < 10*time.Minute; time.Sleep(100 * time.Millisecond) {
			for _, m := range managers {
				wantValid(t, m, issued)
				time.Sleep(time.Millisecond)
			}
		}
		// About 14 reloads, one in 43 s, if the shared cache is used.
		if n := st.lookups.Load(); n > 20 {
			t.Errorf("look-ups by five instances in ten minutes: got %d, want about 14, one for each reload", n)
		}
	})
}
