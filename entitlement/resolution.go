package entitlement

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Resolve returns an owner's entitlement at the given instant. Pass all subscriptions
// and holds that the owner has had, in any order, and the owner's override.
//
// Of the subscriptions that give API access at that instant, one counts:
//   - One that is not [Trialing] before one that is, even if the trial is of a better
//     plan. So a trial, which anyone may have begun, never replaces a paid subscription.
//   - Among those, the one whose plan has the highest Rank. An owner who buys a
//     better plan has it at once. An owner who buys a lesser one has it when the
//     better one ends.
//   - Among those, the one that began last.
//
// The order in which updates arrive makes no difference. If no subscription gives
// access, the result is the plan of the one that began last, without APIAccess.
// If there is no subscription, the error is [ErrNone].
//
// The override changes what a subscription grants. It grants nothing by itself,
// and it does not revive a subscription that has ended or that a [Hold] ends.
//
// The error matches [ErrUnknownPlan] if a subscription that has not ended has a
// plan that is not in the catalog, and no subscription that began later gives
// access. Such a subscription ends at PeriodEnd plus the override's Grace,
// since the plan's own Grace is not known.
//
// Of several states with the same ID, the newest counts. Resolve also returns
// an error if two different states have the same ID and neither is newer, or if
// the subscriptions and holds belong to different owners.
func (c *Catalog) Resolve(subscriptions []Subscription, holds []Hold, o Override, at time.Time) (Entitlement, error) {
	all, err := newestStates(subscriptions)
	if err != nil {
		return Entitlement{}, err
	}
	if holds, err = newestStates(holds); err != nil {
		return Entitlement{}, err
	}
	if len(all) > 0 && len(holds) > 0 && all[0].Owner != holds[0].Owner {
		return Entitlement{}, errOwners
	}
	slices.SortFunc(all, func(a, b Subscription) int { return cmp.Or(b.StartedAt.Compare(a.StartedAt), cmp.Compare(b.ID, a.ID)) })
	var granted []grant
	result, none := Entitlement{}, ErrNone
	for _, s := range all {
		e, err := c.entitlementOf(s, s.hasEnded(holds), o, at)
		switch {
		case err != nil && len(granted) == 0:
			return Entitlement{}, err
		case err != nil: // replaced by a later subscription
		case e.Active(at):
			granted = append(granted, grant{s.Status != Trialing, e})
		case none != nil && s.Plan != "": // an ended subscription may have no plan
			result, none = e, nil
		}
	}
	if len(granted) > 0 {
		return slices.MaxFunc(granted, grant.compare).Entitlement, nil
	}
	return result, none
}

// A grant is the entitlement from a subscription that gives access.
type grant struct {
	paid bool // not on trial
	Entitlement
}

func (g grant) compare(h grant) int {
	switch {
	case g.paid == h.paid:
		return cmp.Compare(g.Rank, h.Rank)
	case g.paid:
		return 1
	}
	return -1
}

var errOwners = errors.New("entitlement: the subscriptions and holds belong to different owners")

// A state is the state of a [Subscription] or a [Hold].
type state[S any] interface {
	owner() string
	id() string
	compareAge(S) int
	isSameState(S) bool
}

// newestStates returns the newest state of each subscription or hold.
func newestStates[S state[S]](states []S) ([]S, error) {
	all := slices.Clone(states)
	slices.SortFunc(all, func(a, b S) int { return cmp.Or(cmp.Compare(a.id(), b.id()), b.compareAge(a)) })
	for i := 1; i < len(all); i++ {
		a, b := all[i-1], all[i]
		if a.owner() != b.owner() {
			return nil, errOwners
		}
		if a.id() == b.id() && a.compareAge(b) == 0 && !a.isSameState(b) {
			return nil, fmt.Errorf("entitlement: %q has two different states, and neither is newer", a.id())
		}
	}
	return slices.CompactFunc(all, func(a, b S) bool { return a.id() == b.id() }), nil
}

// entitlementOf returns the entitlement from a subscription, without access if it has
// ended. It applies the override first, so that the override cannot give access back.
func (c *Catalog) entitlementOf(s Subscription, ended bool, o Override, at time.Time) (Entitlement, error) {
	e, err := c.Plan(s.Plan)
	e.Plan, e.ValidUntil = s.Plan, s.PeriodEnd
	e = o.Apply(e)
	ended = ended || !e.ValidUntil.IsZero() && !at.Before(e.EndsAt())
	switch {
	case ended:
		e.APIAccess = false
	case err != nil:
		return Entitlement{}, err
	}
	return e, nil
}
