package apikey

import (
	"context"
	"errors"
	"time"

	"github.com/keyhatch/keyhatch/cache"
	"github.com/keyhatch/keyhatch/entitlement"
)

// none is what an owner without any entitlement has.
var none entitlement.Entitlement

// entitlement asks the provider through the cache. The error is an outage.
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
		e, err := m.opts.Entitlements.Entitlement(ctx, owner)
		switch {
		case errors.Is(err, entitlement.ErrNone):
			return cache.Loaded[*entitlement.Entitlement]{Absent: true}, nil
		case err != nil:
			return cache.Loaded[*entitlement.Entitlement]{}, err
		}
		found := cache.Loaded[*entitlement.Entitlement]{Value: &e}
		now := time.Now()
		switch {
		case !e.Active(now):
			// So that a purchase works soon.
			found.Until = now.Add(m.opts.NegativeTTL)
		case !e.ValidUntil.IsZero():
			found.Until = e.ValidUntil
		}
		return found, nil
	})
}

// admit answers [ErrNotEntitled] when the owner may have no keys at all, and
// otherwise how many.
func (m *Manager) admit(ctx context.Context, owner string) (limit int, err error) {
	limit = m.opts.MaxKeysPerOwner
	if m.plans == nil {
		return limit, nil
	}
	now := time.Now()
	e, err := m.entitlement(ctx, now, ownerKey(owner), owner)
	if err != nil {
		return 0, err
	}
	if !e.Active(now) {
		return 0, ErrNotEntitled
	}
	if e.MaxKeys != 0 {
		limit = e.MaxKeys
	}
	return limit, nil
}
