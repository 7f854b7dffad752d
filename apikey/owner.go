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
// It returns an [*InvalidError] for an invalid owner, and [ErrNotPropagated] if the
// change could not be published to other instances, which may then use the old plan
// for up to their CacheTTL. Without [Options.Entitlements] it does nothing.
func (m *Manager) InvalidateOwner(ctx context.Context, owner string) error {
	if err := checkOwner(owner); err != nil {
		return err
	}
	if m.plans == nil {
		return nil
	}
	unpropagated, _ := m.plans.Change(context.WithoutCancel(ctx), []cache.Key{ownerKey(owner)}, nil, alreadyWritten)
	return m.notPropagated(ctx, unpropagated)
}

// alreadyWritten is the write of a change that the host has already stored.
func alreadyWritten(context.Context) (publish bool, err error) { return true, nil }

// A Usage is how many keys an owner has and may have.
type Usage struct {
	// Entitlement is what the owner's plan allows. Its MaxKeys is the limit in
	// effect: that of the plan, or [Options.MaxKeysPerOwner] if the plan has none.
	// A negative MaxKeys means no limit. Only MaxKeys is set if the owner has no
	// plan.
	Entitlement entitlement.Entitlement

	// Entitled reports whether the plan now has API access. If it is false, the
	// owner's keys are refused.
	Entitled bool

	// Used is the number of keys that count against the limit. Disabled keys
	// count. Revoked and expired keys do not, nor does a rotated key in its grace
	// period while its successor counts.
	Used int

	// Excess is the number of keys above the limit, for example after a downgrade.
	// They keep working, but no key can be created until Used is below the limit.
	Excess int
}

// AtLimit reports whether the limit forbids another key. It does not consider
// Entitled.
func (o Usage) AtLimit() bool {
	return o.Entitlement.MaxKeys >= 0 && o.Used >= o.Entitlement.MaxKeys
}

// Usage returns how many keys the owner has and may have. Show it to the owner, not to
// clients of the API. Errors are [ErrUnavailable], [ErrLimited], and an
// [*InvalidError] for an invalid owner.
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
