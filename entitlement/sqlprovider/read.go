package sqlprovider

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/keyhatch/keyhatch/entitlement"
)

// Entitlement implements [entitlement.Provider]. It resolves the owner's
// subscriptions, holds and override; see [entitlement.Catalog.Resolve]. It reads
// them in one statement. An error that matches store.ErrBusy means that other calls had
// all connections of the pool until ctx ended, and the database replied to one of them.
// Every other error, except [entitlement.ErrNone], means an outage.
func (p *Provider) Entitlement(ctx context.Context, owner string) (entitlement.Entitlement, error) {
	rows, err := p.readOwner(ctx, owner)
	if err != nil {
		return entitlement.Entitlement{}, wrap("entitlement", err)
	}
	var override entitlement.Override
	if len(rows) > 0 {
		override = rows[0].override // without a subscription, it has no effect
	}
	subscriptions, holds := split(rows)
	e, err := p.catalog.Resolve(subscriptions, holds, override, time.Now())
	if err != nil && !errors.Is(err, entitlement.ErrNone) {
		err = wrap("entitlement", err)
	}
	return e, err
}

// Subscriptions returns all subscriptions of the owner, including those that have
// ended or that a hold ends. The one that began last comes first. If there are
// none, it returns nil and no error.
func (p *Provider) Subscriptions(ctx context.Context, owner string) ([]entitlement.Subscription, error) {
	rows, err := p.readOwner(ctx, owner)
	subscriptions, _ := split(rows)
	return subscriptions, wrap("subscriptions", err)
}

// Holds returns all holds of the owner, including those that were released. The one
// that began last comes first. If there are none, it returns nil and no error.
func (p *Provider) Holds(ctx context.Context, owner string) ([]entitlement.Hold, error) {
	rows, err := p.readOwner(ctx, owner)
	_, holds := split(rows)
	return holds, wrap("holds", err)
}

// readOwner returns the rows of an owner, the one that began last first. It refuses
// rows of other owners that the database considers equal.
func (p *Provider) readOwner(ctx context.Context, owner string) ([]row, error) {
	rows, err := collect(ctx, p, scanRow, p.sql.find, owner)
	if err != nil {
		return nil, err
	}
	for _, r := range rows {
		if r.Owner != owner {
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

// A row is the stored form of a subscription or a hold. A hold has no Plan and no
// PeriodEnd. Its status is held, or Ended if it was released.
type row struct {
	entitlement.Subscription
	kind     string
	override entitlement.Override // of the owner
}

const (
	kindSubscription = "subscription"
	kindHold         = "hold"

	held entitlement.Status = "held"
)

func rowOf(h entitlement.Hold) row {
	s := entitlement.Subscription{
		Owner: h.Owner, ID: h.ID, Status: held, StartedAt: h.StartedAt, PeriodStart: h.PeriodStart,
		UpdatedAt: h.UpdatedAt, Version: h.Version,
	}
	if h.Released {
		s.Status = entitlement.Ended
	}
	return row{Subscription: s, kind: kindHold}
}

func (r row) hold() entitlement.Hold {
	return entitlement.Hold{
		Owner: r.Owner, ID: r.ID, StartedAt: r.StartedAt, PeriodStart: r.PeriodStart, Released: r.Status == entitlement.Ended,
		UpdatedAt: r.UpdatedAt, Version: r.Version,
	}
}

func split(rows []row) (subscriptions []entitlement.Subscription, holds []entitlement.Hold) {
	for _, r := range rows {
		if r.kind == kindHold {
			holds = append(holds, r.hold())
		} else {
			subscriptions = append(subscriptions, r.Subscription)
		}
	}
	return subscriptions, holds
}

// scanRow checks every value, since others can write to the table.
func scanRow(rows *sql.Rows) (r row, err error) {
	var status string
	err = rows.Scan(&r.Owner, &r.ID, &r.kind, &r.Plan, &status, instantColumn{&r.StartedAt}, instantColumn{&r.PeriodStart},
		instantColumn{&r.PeriodEnd}, instantColumn{&r.UpdatedAt}, &r.Version, overrideColumn{&r.override})
	r.Status = entitlement.Status(status)
	known := r.kind == kindSubscription && r.Status.Valid() ||
		r.kind == kindHold && (r.Status == held || r.Status == entitlement.Ended)
	switch {
	case err != nil:
	case !known:
		err = fmt.Errorf("%q: unknown kind %q or status %q", r.ID, r.kind, status)
	case r.Version < 0:
		err = fmt.Errorf("%q: version %d is negative", r.ID, r.Version)
	}
	return r, err
}
