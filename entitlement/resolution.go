package entitlement

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Resolve returns what an owner's purchases grant at the given instant. Pass everything
// that the owner has had, in any order.
//
// A subscription gives access if
//   - its status and its period say so,
//   - no [Hold] ends it, and
//   - the payments for its period at that instant were not taken back.
//
// # The end of a period
//
// [Entitlement.ValidUntil] is the PeriodEnd of the subscription. How long access continues after
// it depends on whether the subscription is renewed:
//   - A [PastDue] subscription has the plan's Grace, since a renewal has failed.
//   - Any other subscription with CancelAtPeriodEnd ends at PeriodEnd.
//   - A [Trialing] subscription whose UpdatedAt is not before PeriodEnd has the plan's Grace,
//     since the first payment has failed.
//   - Any other subscription with a Source has the plan's Grace and one more hour, since the
//     event of the renewal arrives after the period, and late if it had to be sent again. The
//     Grace of the result includes the hour.
//   - Any other subscription without a Source, which the host grants itself, has the plan's
//     Grace.
//
// No Grace is longer than [MaxGrace].
//
// # Refunds and disputes
//
// The payments for a period are taken back if all of them were refunded in full, or if one
// of them has a dispute that is open or lost. Several refunds of a payment add up. Payments
// of zero do not count. If no other payment for the period is known, nothing is taken back.
// So a refund or dispute ends the period that its payment paid for, and its grace period.
// It ends neither another period nor another subscription.
//
// # Several subscriptions
//
// Of the subscriptions that give API access at that instant, one counts:
//   - A subscription that is not [Trialing] counts before one that is, even if the trial
//     is of a better plan. So a trial, which anyone may have begun, never replaces a paid
//     subscription.
//   - Among those, the one whose plan has the highest Rank. An owner who buys a
//     better plan has it at once. An owner who buys a lesser one has it when the
//     better one ends.
//   - Among those, the one that began last.
//
// The order in which updates arrive makes no difference. If no subscription gives
// access, the result is the plan of the one that began last, without APIAccess.
//
// The override changes what a subscription grants. It grants nothing by itself,
// and it does not revive a subscription that has ended.
//
// Of several states with the same Source and ID, the newest counts.
//
// # Errors
//
// The error is [ErrNone] if no subscription gives access and none has a plan.
//
// The error matches [ErrUnknownPlan] if a subscription that has not ended has a
// plan that is not in the catalog, and no subscription that began later gives
// access. Such a subscription ends as if its plan had only the override's Grace, since the
// plan's own Grace is not known.
//
// Resolve also returns an error if two different states have the same Source and ID and
// neither is newer, or if the subscriptions and holds belong to different owners.
func (c *Catalog) Resolve(p Purchases, at time.Time) (Entitlement, error) {
	all, err := newestStates(p.Subscriptions)
	if err != nil {
		return Entitlement{}, err
	}
	if p.Holds, err = newestStates(p.Holds); err != nil {
		return Entitlement{}, err
	}
	if len(all) > 0 && len(p.Holds) > 0 && all[0].Owner != p.Holds[0].Owner {
		return Entitlement{}, errOwners
	}
	slices.SortFunc(all, func(a, b Subscription) int { return cmp.Or(b.StartedAt.Compare(a.StartedAt), b.key().compare(a.key())) })
	var granted []grant
	paid := p.ledger()
	result, none := Entitlement{}, ErrNone
	for _, s := range all {
		e, err := c.entitlementOf(s, p.hasEnded(s) || paid.areTakenBack(s, at), p.Override, at)
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
	key() stateKey
	compareAge(S) int
	isSameState(S) bool
}

// A stateKey identifies a subscription or a hold among those of its owner.
type stateKey struct{ source, id string }

func (k stateKey) compare(l stateKey) int {
	return cmp.Or(cmp.Compare(k.id, l.id), cmp.Compare(k.source, l.source))
}

// newestStates returns the newest state of each subscription or hold.
func newestStates[S state[S]](states []S) ([]S, error) {
	all := slices.Clone(states)
	slices.SortFunc(all, func(a, b S) int { return cmp.Or(a.key().compare(b.key()), b.compareAge(a)) })
	for i := 1; i < len(all); i++ {
		a, b := all[i-1], all[i]
		if a.owner() != b.owner() {
			return nil, errOwners
		}
		if a.key() == b.key() && a.compareAge(b) == 0 && !a.isSameState(b) {
			return nil, fmt.Errorf("entitlement: %q has two different states, and neither is newer", a.key().id)
		}
	}
	return slices.CompactFunc(all, func(a, b S) bool { return a.key() == b.key() }), nil
}

// entitlementOf returns the entitlement from a subscription, without access if it has
// ended. It applies the override first, so that the override cannot give access back.
func (c *Catalog) entitlementOf(s Subscription, ended bool, o Override, at time.Time) (Entitlement, error) {
	e, err := c.Plan(s.Plan)
	e.Plan, e.ValidUntil = s.Plan, s.PeriodEnd
	e = o.Apply(e)
	e.Grace = s.grace(e.Grace)
	ended = ended || !e.ValidUntil.IsZero() && !at.Before(e.EndsAt())
	switch {
	case ended:
		e.APIAccess = false
	case err != nil:
		return Entitlement{}, err
	}
	return e, nil
}
