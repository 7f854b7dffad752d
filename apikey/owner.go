package apikey

import (
	"context"

	"github.com/keyhatch/keyhatch/entitlement"
)

// OwnerChanged invalidates the cached entitlement of the owner. Call it after a
// purchase or a cancellation has been stored. Every Validate and Create of this
// Manager that starts after it has returned uses the current plan. Other instances
// follow within milliseconds with an [Options.Bus], and otherwise within their
// [Options.CacheTTL].
//
// It returns an [*InvalidError] if owner cannot be an owner, and [ErrNotPropagated]
// if the change could not be published to other instances, which may then use the
// old plan for up to their CacheTTL. Without Entitlements it does nothing.
func (m *Manager) OwnerChanged(ctx context.Context, owner string) error {
	if err := checkOwner(owner); err != nil {
		return err
	}
	if m.plans == nil {
		return nil
	}
	key := ownerKey(owner)
	m.plans.Forget(key)
	return m.notPropagated(ctx, m.publish(ctx, key))
}

// An Overview is what an owner's settings page shows above the keys.
type Overview struct {
	// Entitlement is what the owner's plan allows; its MaxKeys is what holds,
	// which may come from [Options.MaxKeysPerOwner]. When the owner has no plan,
	// nothing else is set.
	Entitlement entitlement.Entitlement

	// Entitled tells whether the owner's keys are admitted now.
	Entitled bool

	// Keys counts those that count against the limit: neither revoked nor
	// expired nor replaced. Disabled ones count.
	Keys int

	// Over is how many keys there are above the limit, as after a downgrade.
	// They go on working; none is created until there are fewer than the limit.
	Over int
}

// Full reports whether the limit forbids another key. It says nothing of
// Entitled.
func (o Overview) Full() bool {
	return o.Entitlement.MaxKeys >= 0 && o.Keys >= o.Entitlement.MaxKeys
}

// Overview returns what the owner has and may have. It is for the owner's own
// panel: nothing of it belongs in an answer to the API's callers. The error is
// [ErrUnavailable], or an [*InvalidError] for an owner that cannot be one.
func (m *Manager) Overview(ctx context.Context, owner string) (Overview, error) {
	if err := checkOwner(owner); err != nil {
		return Overview{}, err
	}
	e, err := m.planOf(ctx, owner)
	if err != nil {
		return Overview{}, err
	}
	at := now()
	t, err := m.enter(ctx, m.reads, owner)
	if err != nil {
		return Overview{}, err
	}
	defer t.leave()
	n, err := askInTurn(ctx, t, m.opts.LookupTimeout, func(ctx context.Context) (int, error) { return m.store.Count(ctx, owner, at) })
	if err == nil && n < 0 {
		err = errForged
	}
	if err != nil {
		return Overview{}, m.fail(ctx, owner, "", err)
	}
	o := Overview{Entitlement: e, Entitled: e.Active(at), Keys: n}
	if e.MaxKeys >= 0 {
		o.Over = max(n-e.MaxKeys, 0)
	}
	return o, nil
}
