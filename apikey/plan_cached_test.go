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

// Invariants 6 and 10: a plan that covers fewer scopes removes them from the owner's keys,
// even while the key is cached.
func TestPlanChangesUnderCachedKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		plan := entitlement.Entitlement{APIAccess: true, Scopes: []string{"reports:*"}, ValidUntil: time.Now().Add(10 * time.Second)}
		provider := entitlement.ProviderFunc(func(context.Context, string) (entitlement.Entitlement, error) { return plan, nil })
		m, err := apikey.New(memstore.New(), &apikey.Options{Entitlements: provider, CacheTTL: time.Hour})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = m.Close(context.Background()) }()
		issued, err := m.Create(t.Context(), apikey.CreateParams{Owner: "o", Name: "n", Scopes: []string{"reports:read"}})
		if err != nil {
			t.Fatal(err)
		}
		allowed := func() bool {
			p, err := m.Validate(t.Context(), issued.Secret.Reveal())
			if err != nil {
				t.Fatal(err)
			}
			return p.Allows("reports:read")
		}
		if !allowed() {
			t.Error("a scope that the key has and the plan covers is not allowed")
		}
		plan = entitlement.Entitlement{APIAccess: true, Scopes: []string{"status:read"}}
		time.Sleep(10 * time.Second)
		if allowed() {
			t.Error("a scope that the plan no longer covers is allowed while the key is cached")
		}
	})
}
