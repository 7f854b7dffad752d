package apikey_test

import (
	"context"
	"testing"
	"time"

	"github.com/keyhatch/keyhatch/apikey"
	"github.com/keyhatch/keyhatch/entitlement"
	"github.com/keyhatch/keyhatch/internal/testkit"
	"github.com/keyhatch/keyhatch/store/memstore"
)

// A validation that does not call the store allocates nothing, even if it refuses the key.
func TestValidateDoesNotAllocate(t *testing.T) {
	if testkit.Race {
		t.Skip("the race detector allocates")
	}
	ctx := t.Context()
	st := memstore.New()
	withMAC := apikey.Options{MACKeys: [][]byte{macKey(0), macKey(1)}, CacheTTL: time.Hour, NegativeTTL: time.Hour}
	m := newManager(t, st, &withMAC)
	plans := withMAC
	plans.Entitlements = entitlement.ProviderFunc(func(_ context.Context, owner string) (entitlement.Entitlement, error) {
		return entitlement.Entitlement{APIAccess: owner != "free"}, nil
	})
	gated := newManager(t, st, &plans)
	shared := withMAC
	shared.Bus = &memoryBus{}
	joined := newManager(t, st, &shared)
	for deadline := time.Now().Add(10 * time.Second); !joined.BusIsUp(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the bus is not up")
		}
	}
	good, disabled, revoked, free := create(t, m, "a"), create(t, m, "a"), create(t, m, "a"), create(t, m, "free")
	yes := true
	_, _ = m.Update(ctx, "a", disabled.Key.ID, apikey.UpdateParams{Disabled: &yes})
	_, _ = m.Revoke(ctx, "a", revoked.Key.ID, "")
	expiring, err := m.Create(ctx, apikey.CreateParams{Owner: "a", Name: "n", ExpiresAt: time.Now().Add(time.Second)})
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Until(expiring.Key.ExpiresAt))
	forged := newForger("key", true).forge()
	other := create(t, newManager(t, memstore.New(), &withMAC), "o")
	body := good.Secret.Reveal()
	for _, tt := range []struct {
		name  string
		m     *apikey.Manager
		token string
		good  bool
	}{
		{"valid", m, body, true},
		{"valid with a plan", gated, body, true},
		{"valid with a bus", joined, body, true},
		{"not entitled", gated, free.Secret.Reveal(), false},
		{"disabled", m, disabled.Secret.Reveal(), false},
		{"revoked", m, revoked.Secret.Reveal(), false},
		{"expired", m, expiring.Secret.Reveal(), false},
		{"unknown", m, other.Secret.Reveal(), false},
		{"empty", m, "", false},
		{"garbage", m, "some garbage", false},
		{"bad alphabet", m, body[:20] + "!" + body[21:], false},
		{"bad checksum", m, body[:20] + "00" + body[22:], false},
		{"forged checksum, bad MAC", m, forged, false},
	} {
		if _, err := tt.m.Validate(ctx, tt.token); (err == nil) != tt.good {
			t.Errorf("%s: Validate = %v", tt.name, err)
		}
		allocs := testing.AllocsPerRun(1_000, func() { _, _ = tt.m.Validate(ctx, tt.token) })
		if allocs != 0 {
			t.Errorf("%s: got %v allocations, want 0", tt.name, allocs)
		}
	}
}
