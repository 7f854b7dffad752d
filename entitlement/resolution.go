package entitlement

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Resolve returns what an owner is entitled to, of all the subscriptions that it
// has had, with the override in it. Their order makes no difference.
//
// What counts is the one that began last of those that give API access at the
// time: who buys another plan before the old one ends has the new one, in
// whatever order the updates come. Where none does, it is the plan of the one that
// began last, without APIAccess, and where there are none the error is [ErrNone].
// An override changes what a subscription grants; it grants nothing by itself,
// and not what is over.
//
// A plan that is not in the catalog is an [ErrUnknownPlan] where it matters: the
// subscription is not over, and none that began later counts. It is over after
// ValidUntil and the override's Grace, since nobody knows the plan's.
//
// Of several states with one ID the newest counts. When they contradict each
// other and none is newer, or the subscriptions are not of one owner, that is an
// error too.
func (c *Catalog) Resolve(subscriptions []Subscription, o Override, at time.Time) (Entitlement, error) {
	all, err := current(subscriptions)
	if err != nil {
		return Entitlement{}, err
	}
	result, missing := Entitlement{}, ErrNone
	for _, s := range all {
		if s.Status == Held {
			continue
		}
		e, err := c.granted(s, s.over(all), o, at)
		switch {
		case err != nil:
			return Entitlement{}, err
		case e.Active(at):
			return e, nil
		case missing != nil && s.Plan != "": // a hold that has ended may have none
			result, missing = e, nil
		}
	}
	return result, missing
}

// current returns the newest state of each, those that began last first.
func current(subscriptions []Subscription) ([]Subscription, error) {
	all := slices.Clone(subscriptions)
	slices.SortFunc(all, func(a, b Subscription) int { return cmp.Or(cmp.Compare(a.ID, b.ID), b.age(a)) })
	for i := range all {
		if all[i].Owner != all[0].Owner {
			return nil, errors.New("entitlement: the subscriptions are not of one owner")
		}
	}
	for i := 1; i < len(all); i++ {
		a, b := all[i-1], all[i]
		if a.ID == b.ID && !a.Newer(b) && !a.says(b) {
			return nil, fmt.Errorf("entitlement: subscription %q has two states, and neither is newer", a.ID)
		}
	}
	all = slices.CompactFunc(all, func(a, b Subscription) bool { return a.ID == b.ID })
	slices.SortFunc(all, func(a, b Subscription) int { return cmp.Or(b.Since.Compare(a.Since), cmp.Compare(b.ID, a.ID)) })
	return all, nil
}

// granted is what a subscription grants, which is no access when it is over. The
// override comes first, lest it give back what was taken.
func (c *Catalog) granted(s Subscription, over bool, o Override, at time.Time) (Entitlement, error) {
	e, err := c.Plan(s.Plan)
	e.Plan, e.ValidUntil = s.Plan, s.ValidUntil
	e = o.Over(e)
	over = over || !e.ValidUntil.IsZero() && !at.Before(e.Lapses())
	switch {
	case over:
		e.APIAccess = false
	case err != nil:
		return Entitlement{}, err
	}
	return e, nil
}
