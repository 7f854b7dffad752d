package sqlprovider

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/keyhatch/keyhatch/entitlement"
	"github.com/keyhatch/keyhatch/internal/sqldb"
	"github.com/keyhatch/keyhatch/internal/text"
)

// SetOwner moves a subscription of a billing system to another owner, for example when
// a team is handed over. It returns the previous owner. Both owners' entitlements change:
// a Watch reports both. For an effect at once, call Manager.InvalidateOwner for both.
// From then on, the owner that a report names does not count, since the billing system's
// metadata may name the previous one.
//
// Keys are not moved. If the previous owner has no other plan, the previous owner's keys get
// 403, at once after InvalidateOwner. The new owner creates keys of their own.
//
// SetOwner returns an [*entitlement.InvalidError] if there is no such subscription or it has
// no owner, or if an argument is invalid as for [Provider.Apply].
func (p *Provider) SetOwner(ctx context.Context, source, subscription, owner string) (previous string, err error) {
	err = invalid("Owner", text.CheckID(owner))
	if err == nil {
		previous, err = p.setOwner(ctx, source, subscription, owner)
	}
	return previous, wrap("set owner", err)
}

func (p *Provider) setOwner(ctx context.Context, source, subscription, owner string) (previous string, err error) {
	for range 3 { // others may move it at the same time
		stored, err := p.lineage(ctx, source, kindSubscription, subscription)
		switch {
		case err != nil:
			return "", err
		case len(stored) == 0:
			return "", invalid("subscription", fmt.Errorf("%s has reported no subscription %q", source, subscription))
		case stored[0].Owner == "":
			return "", invalid("subscription", fmt.Errorf("%q has ended before any event named its owner", subscription))
		case stored[0].Owner == owner:
			return owner, nil
		}
		previous, now := stored[0].Owner, time.Now().UnixMicro()
		n, err := p.exec(ctx, p.sql.setOwner, owner, now, now, source, subscription, previous)
		if err == nil && n > 0 {
			// A program that knows only version 2 of the schema has stored it for the previous owner.
			_, err = p.exec(ctx, p.sql.end, now, now, previous, subscription)
			return previous, err
		}
		if err != nil {
			return "", err
		}
	}
	return "", sqldb.ErrSkipped
}

// findOwner returns the owner of a subscription: the stored one, unless the report
// contradicts it. An end does not contradict it, since the subscription grants nothing any
// more.
func (p *Provider) findOwner(ctx context.Context, r row) (owner string, err error) {
	ended := r.Status == entitlement.Ended
	if len(r.named) == 1 && !ended {
		return r.named[0], nil // putRecord compares it
	}
	stored, err := p.lineage(ctx, r.Source, r.kind, r.ID)
	switch {
	case err != nil:
		return "", err
	case len(stored) > 0 && !r.Newer(stored[0].Subscription): // r is not stored
		return stored[0].Owner, nil
	case len(stored) > 0 && stored[0].Owner != "" && (len(r.named) == 0 || stored[0].wasMoved || ended):
		return stored[0].Owner, nil
	case len(r.named) == 1:
		return r.named[0], nil
	case len(r.named) > 1:
		return "", invalid("Owner", fmt.Errorf("the event names several owners: %q", r.named))
	}
	return p.ownerOfCustomer(ctx, r)
}

// ownerOfCustomer returns the owner of the customer's other subscriptions.
func (p *Provider) ownerOfCustomer(ctx context.Context, r row) (owner string, err error) {
	var owners []string
	if r.Customer != "" {
		if owners, err = collect(ctx, p, scanText, p.sql.ownersOf, r.Source, r.Customer); err != nil {
			return "", err
		}
	}
	switch {
	case len(owners) == 1:
		return owners[0], nil
	case r.Status == entitlement.Ended: // it grants nothing, and the owner may be named later
		return "", nil
	case len(owners) == 0:
		return "", invalid("Owner", errors.New("is unknown: neither the event nor an earlier subscription of the customer names it"))
	}
	return "", invalid("Owner", errors.New("is unknown: the event names none, and the customer's subscriptions have several"))
}
