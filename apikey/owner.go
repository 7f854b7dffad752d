package apikey

import (
	"context"

	"github.com/keyhatch/keyhatch/cache"
	"github.com/keyhatch/keyhatch/entitlement"
)

// InvalidateOwner invalidates the cached entitlement of the owner. Call it after a
// purchase or a cancellation has been stored. Every Validate and Create of this
// Manager that starts after it has returned uses the current plan. Other instances
// follow within milliseconds with an [Options.Bus], and otherwise within their
// [Options.CacheTTL].
//
// It returns an [*InvalidError] if owner cannot be an owner, and [ErrNotPropagated]
// if the change could not be published to other instances, which may then use the
// old plan for up to their CacheTTL. Without Entitlements it does nothing.
func (m *Manager) InvalidateOwner(ctx context.Context, owner string) error {
	if err := checkOwner(owner); err != nil {
		return err
	}
	if m.plans == nil {
		return nil
	}
	unpropagated, _ := m.plans.Change(context.WithoutCancel(ctx), []cache.Key{ownerKey(owner)}, nil, made)
	return m.notPropagated(ctx, unpropagated)
}

// made is the write of a change that was made elsewhere.
func made(context.Context) (tell bool, err error) { return true, nil }

// An Usage is what an owner's settings page shows above the keys.
type Usage struct {
	// Entitlement is what the owner's plan allows; its MaxKeys is what holds,
	// which may come from [Options.MaxKeysPerOwner]. When the owner has no plan,
	// nothing else is set.
	Entitlement entitlement.Entitlement

	// Entitled tells whether the owner's keys are admitted now.
	Entitled bool

	// Used counts those that count against the limit: neither revoked nor
	// expired nor replaced. Disabled ones count.
	Used int

	// Excess is how many keys there are above the limit, as after a downgrade.
	// They go on working; none is created until there are fewer than the limit.
	Excess int
}

// AtLimit reports whether the limit forbids another key. It says nothing of
// Entitled.
func (o Usage) AtLimit() bool {
	return o.Entitlement.MaxKeys >= 0 && o.Used >= o.Entitlement.MaxKeys
}

// Usage returns what the owner has and may have. It is for the owner's own
// panel: nothing of it belongs in an answer to the API's callers. The error is
// [ErrUnavailable], or an [*InvalidError] for an owner that cannot be one.
func (m *Manager) Usage(ctx context.Context, owner string) (Usage, error) {
	if err := checkOwner(owner); err != nil {
		return Usage{}, err
	}
	e, err := m.planOf(ctx, owner)
	if err != nil {
		return Usage{}, err
	}
	at := now()
	t, err := m.enter(ctx, m.reads, owner)
	if err != nil {
		return Usage{}, err
	}
	defer t.leave()
	n, err := askInTurn(ctx, t, m.opts.CallTimeout, func(ctx context.Context) (int, error) { return m.store.Count(ctx, owner, at) })
	if err == nil && n < 0 {
		err = errForged
	}
	if err != nil {
		return Usage{}, m.fail(ctx, owner, "", err)
	}
	o := Usage{Entitlement: e, Entitled: e.Active(at), Used: n}
	if e.MaxKeys >= 0 {
		o.Excess = max(n-e.MaxKeys, 0)
	}
	return o, nil
}
