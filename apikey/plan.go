package apikey

import (
	"context"
	"errors"
	"reflect"
	"sync"
	"time"

	"github.com/keyhatch/keyhatch/cache"
	"github.com/keyhatch/keyhatch/entitlement"
	"github.com/keyhatch/keyhatch/internal/guard"
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

// An ownerPlan is the cached form of an owner's entitlement.
type ownerPlan struct {
	entitlement *entitlement.Entitlement // without ValidUntil, since owners with the same plan share it
	validUntil  int64                    // Unix microseconds; never means no end
}

// never is the zero time in Unix microseconds.
const never = -62135596800_000000

// active is like [entitlement.Entitlement.Active], for the entitlement with its ValidUntil.
func (p ownerPlan) active(at cache.Time) bool {
	e := p.entitlement
	return e.APIAccess && (p.validUntil == never || at.UnixMicro() < p.validUntil+max(e.Grace, 0).Microseconds())
}

// clone returns the entitlement, which shares nothing with p.
func (p ownerPlan) clone() entitlement.Entitlement {
	e := p.entitlement.Clone()
	e.ValidUntil = instant(p.validUntil)
	return e
}

// noPlan is the plan of an owner that the provider does not know.
var noPlan = ownerPlan{&entitlement.Entitlement{}, never}

// A planPool lets owners with the same plan share its entitlement, which saves memory. It
// remembers the 64 entitlements that were added last. The zero planPool is empty.
type planPool struct {
	mu     sync.Mutex
	recent [64]*entitlement.Entitlement // nil, or without ValidUntil
	next   int                          // index of the one that is replaced next
}

// share returns the plan with the entitlement e, which belongs to the pool from then on.
func (s *planPool) share(e entitlement.Entitlement) ownerPlan {
	p := ownerPlan{validUntil: earlier(e.ValidUntil, latest).UnixMicro()}
	if !e.ValidUntil.IsZero() && e.ValidUntil.Before(instant(never+1)) {
		p.validUntil = never + 1 // in microseconds, an earlier time would equal never or overflow
	}
	e.ValidUntil = time.Time{}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, known := range s.recent {
		if known != nil && sameEntitlement(*known, e) {
			p.entitlement = known
			return p
		}
	}
	p.entitlement = &e
	s.recent[s.next] = &e
	s.next = (s.next + 1) % len(s.recent)
	return p
}

// sameEntitlement reports whether a and b are equal. Nil scopes differ from empty ones. Most
// plans differ in their name, so the slow comparison is rare.
func sameEntitlement(a, b entitlement.Entitlement) bool {
	return a.Plan == b.Plan && a.MaxKeys == b.MaxKeys && reflect.DeepEqual(a, b)
}

// planFor returns the owner's plan, from the cache or the provider, its version, and the time at
// which the caller must evaluate it. If the plan was read from the cache, that time is now. If
// not, it is later, and the version is zero. An error means an outage.
func (m *Manager) planFor(ctx context.Context, now cache.Time, owner string) (ownerPlan, cache.Version, cache.Time, error) {
	key := ownerKey(owner)
	p, version, err := m.plans.GetVersion(key, now)
	if err == cache.ErrMiss {
		p, err = m.loadPlan(ctx, key, owner)
		if now = m.clock.Now(); err == nil && p.entitlement.APIAccess && !p.active(now) {
			// The plan may have ended during the load, and another one may have begun.
			p, err = m.loadPlan(ctx, key, owner)
			now = m.clock.Now()
		}
	}
	switch {
	case err == nil:
		return *p, version, now, nil
	case err == cache.ErrNotFound:
		return noPlan, cache.Version{}, now, nil
	}
	return ownerPlan{}, cache.Version{}, now, m.unavailable(ctx, "entitlement provider", err)
}

// loadPlan gets the plan from the provider and caches it. It is not inlined, like load.
//
//go:noinline
func (m *Manager) loadPlan(ctx context.Context, key cache.Key, owner string) (*ownerPlan, error) {
	return m.plans.Load(ctx, key, func(ctx context.Context) (cache.Loaded[ownerPlan], error) {
		now := time.Now() // a slow provider may have read the plan when the call began
		call, cancel := m.beforeDeadline(ctx)
		defer cancel()
		e, err := m.opts.Entitlements.Entitlement(call, owner)
		e = e.Clone() // the provider may still change the entitlement that it returned
		switch err = guard.Classify(err, entitlement.ErrNone, store.ErrBusy); {
		case errors.Is(err, entitlement.ErrNone):
			return cache.Loaded[ownerPlan]{Absent: true}, nil
		case errors.Is(err, store.ErrBusy):
			return cache.Loaded[ownerPlan]{}, cache.ErrOverloaded
		case err != nil:
			return cache.Loaded[ownerPlan]{}, err
		}
		p := m.sharedPlans.share(e)
		found := cache.Loaded[ownerPlan]{Value: &p}
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
		plan, _, _, err := m.planFor(ctx, m.clock.Now(), owner)
		if err != nil {
			return e, err
		}
		e = plan.clone()
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

// InvalidateOwner invalidates the cached entitlement of the owner. Call it after a
// purchase or a cancellation has been stored. Every Validate and Create of this
// Manager that starts after it has returned uses the current plan. Other instances
// follow within milliseconds with an [Options.Bus], within about a second if their
// provider is an [entitlement.Watcher] such as sqlprovider, and otherwise within the
// longer of their [Options.CacheTTL] and [Options.StaleIfError].
//
// It returns an [*InvalidError] for an invalid owner, and [ErrNotPropagated] if the
// change could not be published to other instances, which may then use the old plan
// as if there were no Bus. Without [Options.Entitlements] it does nothing.
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

// A Usage reports how many keys an owner has and may have.
type Usage struct {
	// Entitlement holds what the owner's plan allows. Its MaxKeys is the limit in effect: the
	// limit of the plan, or [Options.MaxKeysPerOwner] if the plan has none. A negative MaxKeys
	// means no limit. Only MaxKeys is set if the owner has no plan.
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
func (u Usage) AtLimit() bool {
	return u.Entitlement.MaxKeys >= 0 && u.Used >= u.Entitlement.MaxKeys
}

// Usage returns how many keys the owner has and may have. Show the result to the
// owner, not to clients of the API. Errors are [ErrUnavailable], [ErrLimited], and an
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
	permit, err := m.admit(ctx, m.reads, owner)
	if err != nil {
		return Usage{}, err
	}
	defer permit.release()
	n, err := callPermitted(ctx, permit, m.opts.CallTimeout, func(ctx context.Context) (int, error) { return m.store.Count(ctx, owner, at) })
	if err == nil && n < 0 {
		err = errWrongRecord
	}
	if err != nil {
		return Usage{}, m.fail(ctx, owner, "", err)
	}
	u := Usage{Entitlement: e, Entitled: e.Active(at), Used: n}
	if e.MaxKeys >= 0 {
		u.Excess = max(n-e.MaxKeys, 0)
	}
	return u, nil
}
