package apikey

import (
	"context"
	"errors"
	"time"

	"github.com/keyhatch/keyhatch/cache"
	"github.com/keyhatch/keyhatch/entitlement"
	bound "github.com/keyhatch/keyhatch/internal/guard"
	"github.com/keyhatch/keyhatch/store"
)

// refusalTTL bounds how long an owner is cached as not entitled. So a purchase takes
// effect soon, even if no call of InvalidateOwner follows it.
const refusalTTL = 5 * time.Second

func (m *Manager) planOptions() cache.Options {
	o := m.cacheOptions()
	o.NegativeTTL = min(o.NegativeTTL, refusalTTL)
	return o
}

// none is the entitlement of an owner whom the provider does not know.
var none entitlement.Entitlement

// entitlement returns the owner's entitlement, from the cache or the provider. An
// error is an outage.
func (m *Manager) entitlement(ctx context.Context, now time.Time, key cache.Key, owner string) (*entitlement.Entitlement, error) {
	e, err := m.plans.Get(key, now)
	if err == cache.ErrMiss {
		e, err = m.loadEntitlement(ctx, key, owner)
	}
	switch {
	case err == nil:
		return e, nil
	case err == cache.ErrNotFound:
		return &none, nil
	}
	return nil, m.unavailable(ctx, "entitlement provider", err)
}

//go:noinline
func (m *Manager) loadEntitlement(ctx context.Context, key cache.Key, owner string) (*entitlement.Entitlement, error) {
	return m.plans.Load(ctx, key, func(ctx context.Context) (cache.Loaded[*entitlement.Entitlement], error) {
		now := time.Now() // a slow provider's answer may be as old as the call
		e, err := m.opts.Entitlements.Entitlement(ctx, owner)
		e = e.Clone() // the provider may still change its own
		switch err = bound.Classify(err, entitlement.ErrNone, store.ErrBusy); {
		case errors.Is(err, entitlement.ErrNone):
			return cache.Loaded[*entitlement.Entitlement]{Absent: true}, nil
		case err != nil:
			return cache.Loaded[*entitlement.Entitlement]{}, err
		}
		found := cache.Loaded[*entitlement.Entitlement]{Value: &e}
		switch {
		case !e.Active(now):
			found.Until = now.Add(m.planOptions().NegativeTTL)
		case !e.ValidUntil.IsZero():
			found.Until = e.EndsAt()
		}
		return found, nil
	})
}

// keyLimit returns how many keys the owner may have, or [ErrNotEntitled].
func (m *Manager) keyLimit(ctx context.Context, owner string) (limit int, err error) {
	e, err := m.planOf(ctx, owner)
	if err != nil {
		return 0, err
	}
	if !e.Active(time.Now()) {
		return 0, ErrNotEntitled
	}
	return e.MaxKeys, nil
}

// planOf returns the owner's entitlement, with MaxKeys set to the limit in effect.
func (m *Manager) planOf(ctx context.Context, owner string) (entitlement.Entitlement, error) {
	e := m.everything()
	if m.plans != nil {
		plan, err := m.entitlement(ctx, time.Now(), ownerKey(owner), owner)
		if err != nil {
			return e, err
		}
		e = plan.Clone()
	}
	if e.MaxKeys == 0 {
		e.MaxKeys = m.opts.MaxKeysPerOwner
	}
	return e, nil
}

// everything returns the entitlement of every owner of a Manager without a provider.
func (m *Manager) everything() entitlement.Entitlement {
	return entitlement.Entitlement{APIAccess: true, MaxKeys: m.opts.MaxKeysPerOwner}
}
