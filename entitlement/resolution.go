package entitlement

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Resolve returns what an owner is entitled to at the given instant. Pass all
// subscriptions that the owner has had, in any order, and the owner's override.
//
// Of the subscriptions that give API access at that instant, the one that began
// last counts. So an owner who buys another plan before the old one ends has
// the new plan, in whichever order the updates arrive. If no subscription gives
// access, the result is the plan of the one that began last, without APIAccess.
// If there is no subscription, the error is [ErrNone].
//
// The override changes what a subscription grants. It grants nothing by itself,
// and it does not revive a subscription that has ended or is held.
//
// The error matches [ErrUnknownPlan] if a subscription that has not ended has a
// plan that is not in the catalog, and no subscription that began later gives
// access. Such a subscription ends at PeriodEnd plus the override's Grace,
// since the plan's own Grace is not known.
//
// Of several states with the same ID, the newest counts. Resolve also returns
// an error if two different states have the same ID and neither is newer, or if
// the subscriptions belong to different owners.
func (c *Catalog) Resolve(subscriptions []Subscription, o Override, at time.Time) (Entitlement, error) {
	all, err := newestStates(subscriptions)
	if err != nil {
		return Entitlement{}, err
	}
	result, none := Entitlement{}, ErrNone
	for _, s := range all {
		if s.Status == Held {
			continue
		}
		e, err := c.entitlementOf(s, s.hasEnded(all), o, at)
		switch {
		case err != nil:
			return Entitlement{}, err
		case e.Active(at):
			return e, nil
		case none != nil && s.Plan != "": // an ended hold may have no plan
			result, none = e, nil
		}
	}
	return result, none
}

// newestStates returns the newest state of each subscription, sorted by StartedAt,
// latest first.
func newestStates(subscriptions []Subscription) ([]Subscription, error) {
	all := slices.Clone(subscriptions)
	slices.SortFunc(all, func(a, b Subscription) int { return cmp.Or(cmp.Compare(a.ID, b.ID), b.compareAge(a)) })
	for i := range all {
		if all[i].Owner != all[0].Owner {
			return nil, errors.New("entitlement: the subscriptions belong to different owners")
		}
	}
	for i := 1; i < len(all); i++ {
		a, b := all[i-1], all[i]
		if a.ID == b.ID && !a.Newer(b) && !a.isSameState(b) {
			return nil, fmt.Errorf("entitlement: subscription %q has two different states, and neither is newer", a.ID)
		}
	}
	all = slices.CompactFunc(all, func(a, b Subscription) bool { return a.ID == b.ID })
	slices.SortFunc(all, func(a, b Subscription) int { return cmp.Or(b.StartedAt.Compare(a.StartedAt), cmp.Compare(b.ID, a.ID)) })
	return all, nil
}

// entitlementOf returns what a subscription grants, which is no access if it has
// ended. It applies the override first, so that the override cannot give access
// back.
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
