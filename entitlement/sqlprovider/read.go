package sqlprovider

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/keyhatch/keyhatch/entitlement"
)

// Entitlement implements [entitlement.Provider]. It resolves the owner's purchases; see
// [entitlement.Catalog.Resolve]. It reads them in one statement. An error that matches
// store.ErrBusy means that other calls had all connections of the pool until ctx ended,
// and the database replied to one of them. Every other error, except
// [entitlement.ErrNone], means an outage.
func (p *Provider) Entitlement(ctx context.Context, owner string) (entitlement.Entitlement, error) {
	bought, err := p.purchases(ctx, owner)
	if err != nil {
		return entitlement.Entitlement{}, wrap("entitlement", err)
	}
	e, err := p.catalog.Resolve(bought, time.Now())
	if err != nil && !errors.Is(err, entitlement.ErrNone) {
		err = wrap("entitlement", err)
	}
	return e, err
}

// Purchases returns what is stored about the owner, including subscriptions that have
// ended and holds that were released. It leaves out payments for periods that ended
// longer than [entitlement.MaxGrace] ago, since they grant nothing. It also leaves
// out refunds and disputes whose payment is not stored. Of the subscriptions and the holds,
// the one that began last comes first.
func (p *Provider) Purchases(ctx context.Context, owner string) (entitlement.Purchases, error) {
	bought, err := p.purchases(ctx, owner)
	return bought, wrap("purchases", err)
}

func (p *Provider) purchases(ctx context.Context, owner string) (entitlement.Purchases, error) {
	rows, err := p.readOwner(ctx, owner)
	if err != nil {
		return entitlement.Purchases{}, err
	}
	return purchasesOf(rows), nil
}

// readOwner returns the rows of an owner, the one that began last first. It refuses
// rows of other owners that the database considers equal.
func (p *Provider) readOwner(ctx context.Context, owner string) ([]row, error) {
	lapsed := time.Now().Add(-entitlement.MaxGrace - 24*time.Hour).UnixMicro() // no grace is longer
	rows, err := collect(ctx, p, scanRow, p.sql.find, owner, lapsed, owner, owner)
	if err != nil {
		return nil, err
	}
	for _, r := range rows {
		if r.Owner != owner && r.parentKind == "" {
			return nil, mismatch(owner, r.Owner)
		}
	}
	slices.SortFunc(rows, func(a, b row) int {
		return -cmp.Or(a.StartedAt.Compare(b.StartedAt), cmp.Compare(a.ID, b.ID))
	})
	return rows, nil
}

func mismatch(want, got string) error {
	return fmt.Errorf("got the row of %q instead of %q: the column does not have the collation of the schema files; restore it", got, want)
}

func purchasesOf(rows []row) (bought entitlement.Purchases) {
	charges, own, reported := map[rowID]string{}, map[string]entitlement.Subscription{}, map[string]bool{}
	for _, r := range rows {
		switch {
		case r.kind == kindCharge:
			charges[rowID{r.Source, r.ID}] = r.parent
		case r.kind == kindSubscription && r.Source == "":
			own[r.ID] = r.Subscription
		case r.kind == kindSubscription:
			reported[r.ID] = true
		}
	}
	for _, r := range rows {
		switch r.kind {
		case kindOverride:
			bought.Override = r.override
		case kindHold:
			bought.Holds = append(bought.Holds, r.hold())
		case kindPayment:
			bought.Payments = append(bought.Payments, r.payment())
		case kindRefund, kindDispute:
			bought.Reversals = append(bought.Reversals, r.reversal(charges))
		case kindSubscription:
			if r.Source != "" || !reported[r.ID] {
				bought.Subscriptions = append(bought.Subscriptions, newestOf(r.Subscription, own[r.ID]))
			}
		}
	}
	return bought
}

// newestOf returns the newest state of a subscription that a billing system has reported.
// A program that knows only version 2 of the schema stores it among the host's own
// subscriptions, with the same ID.
func newestOf(s, own entitlement.Subscription) entitlement.Subscription {
	if own.Owner != "" && own.Newer(s) {
		own.Source, own.Customer = s.Source, s.Customer
		return own
	}
	return s
}

// lineage returns a record, and after it those to which it belongs, as far as they are
// stored.
func (p *Provider) lineage(ctx context.Context, source, kind, id string) ([]row, error) {
	rows, err := collect(ctx, p, scanRow, p.sql.lineage, source, kind, id)
	if err != nil {
		return nil, err
	}
	order := []string{kindRefund, kindDispute, kindCharge, kindPayment, kindSubscription}
	slices.SortFunc(rows, func(a, b row) int { return slices.Index(order, a.kind) - slices.Index(order, b.kind) })
	if len(rows) > 0 && (rows[0].Source != source || rows[0].ID != id) {
		return nil, mismatch(id, rows[0].ID)
	}
	return rows, nil
}

// Subscriptions returns the subscriptions that the source has reported and whose IDs are
// greater than after, in the order of their IDs, and at most limit. It is for a pass over
// all of them: begin with an empty after, and continue with the last ID of each page.
func (p *Provider) Subscriptions(ctx context.Context, source, after string, limit int) ([]entitlement.Subscription, error) {
	rows, err := collect(ctx, p, scanRow, p.sql.subscriptions, source, after, limit)
	all := make([]entitlement.Subscription, len(rows))
	for i, r := range rows {
		all[i] = r.Subscription
	}
	return all, wrap("subscriptions", err)
}
