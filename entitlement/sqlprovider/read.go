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

// Entitlement implements [entitlement.Provider]. It returns what the owner's
// subscriptions and override grant now; see [entitlement.Catalog.Resolve]. It
// reads them in one statement. An error other than [entitlement.ErrNone] is an
// outage.
func (p *Provider) Entitlement(ctx context.Context, owner string) (entitlement.Entitlement, error) {
	subscriptions, override, err := p.readOwner(ctx, owner)
	if err != nil {
		return entitlement.Entitlement{}, wrap("entitlement", err)
	}
	e, err := p.catalog.Resolve(subscriptions, override, time.Now())
	if err != nil && !errors.Is(err, entitlement.ErrNone) {
		err = wrap("entitlement", err)
	}
	return e, err
}

// Subscriptions returns all subscriptions of the owner, including those that
// are ended or held. The one that began last comes first. If there are none, it
// returns nil and no error.
func (p *Provider) Subscriptions(ctx context.Context, owner string) ([]entitlement.Subscription, error) {
	subscriptions, _, err := p.readOwner(ctx, owner)
	if err != nil {
		return nil, wrap("subscriptions", err)
	}
	slices.SortFunc(subscriptions, func(a, b entitlement.Subscription) int {
		return -cmp.Or(a.StartedAt.Compare(b.StartedAt), cmp.Compare(a.ID, b.ID))
	})
	return subscriptions, nil
}

// readOwner reads the rows of an owner. It refuses rows of owners that the database
// only considers equal. The override is returned only if the owner has
// subscriptions; without them it has no effect.
func (p *Provider) readOwner(ctx context.Context, owner string) ([]entitlement.Subscription, entitlement.Override, error) {
	rows, err := collect(ctx, p, scanRow, p.sql.find, owner)
	var subscriptions []entitlement.Subscription
	var override entitlement.Override
	for _, row := range rows {
		if row.Owner != owner {
			return nil, override, mismatch(owner, row.Owner)
		}
		subscriptions, override = append(subscriptions, row.Subscription), row.override
	}
	return subscriptions, override, err
}

func mismatch(want, got string) error {
	return fmt.Errorf("got the row of %q instead of %q: the column does not have the collation of the schema files; restore it", got, want)
}

// A row is a subscription and the override of its owner.
type row struct {
	entitlement.Subscription
	override entitlement.Override
}

// scanRow checks every value, since others can write to the table.
func scanRow(rows *sql.Rows) (r row, err error) {
	var status string
	err = rows.Scan(&r.Owner, &r.ID, &r.Plan, &status, instantColumn{&r.StartedAt}, instantColumn{&r.PeriodStart},
		instantColumn{&r.PeriodEnd}, instantColumn{&r.UpdatedAt}, &r.Version, overrideColumn{&r.override})
	r.Status = entitlement.Status(status)
	switch {
	case err != nil:
	case !r.Status.Valid():
		err = fmt.Errorf("subscription %q: unknown status %q", r.ID, status)
	case r.Version < 0:
		err = fmt.Errorf("subscription %q: version %d is negative", r.ID, r.Version)
	}
	return r, err
}
