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

// Entitlement implements [entitlement.Provider]: what the owner's subscriptions
// and override come to now, as [entitlement.Catalog.Resolve] has it. It reads
// them in one statement.
func (p *Provider) Entitlement(ctx context.Context, owner string) (entitlement.Entitlement, error) {
	subscriptions, override, err := p.owned(ctx, owner)
	if err != nil {
		return entitlement.Entitlement{}, verb("entitlement", err)
	}
	e, err := p.catalog.Resolve(subscriptions, override, time.Now())
	if err != nil && !errors.Is(err, entitlement.ErrNone) {
		err = verb("entitlement", err)
	}
	return e, err
}

// Subscriptions returns all that the owner has had, those that are ended or held
// included, and the one that began last first. There is no error when there are
// none.
func (p *Provider) Subscriptions(ctx context.Context, owner string) ([]entitlement.Subscription, error) {
	subscriptions, _, err := p.owned(ctx, owner)
	if err != nil {
		return nil, verb("subscriptions", err)
	}
	slices.SortFunc(subscriptions, func(a, b entitlement.Subscription) int {
		return -cmp.Or(a.Since.Compare(b.Since), cmp.Compare(a.ID, b.ID))
	})
	return subscriptions, nil
}

// owned reads the rows of an owner, and none that the database only takes for
// theirs. The override is that of an owner who has subscriptions; without them
// it counts for nothing.
func (p *Provider) owned(ctx context.Context, owner string) ([]entitlement.Subscription, entitlement.Override, error) {
	rows, err := collect(ctx, p, scanRow, p.sql.find, owner)
	var subscriptions []entitlement.Subscription
	var override entitlement.Override
	for _, row := range rows {
		if row.Owner != owner {
			return nil, override, foreign(owner, row.Owner)
		}
		subscriptions, override = append(subscriptions, row.Subscription), row.override
	}
	return subscriptions, override, err
}

func foreign(owner, got string) error {
	return fmt.Errorf("asked for %q, got %q: the column has another collation than the schema's; restore it", owner, got)
}

// A row is a subscription, and the override of its owner.
type row struct {
	entitlement.Subscription
	override entitlement.Override
}

// scanRow takes nothing on trust that a row may hold, since others can write to
// the table.
func scanRow(rows *sql.Rows) (r row, err error) {
	var status string
	err = rows.Scan(&r.Owner, &r.ID, &r.Plan, &status, instantColumn{&r.Since}, instantColumn{&r.PaidFrom},
		instantColumn{&r.ValidUntil}, instantColumn{&r.UpdatedAt}, &r.Version, overrideColumn{&r.override})
	r.Status = entitlement.Status(status)
	switch {
	case err != nil:
	case !r.Status.Valid():
		err = fmt.Errorf("subscription %q: status %q is not known", r.ID, status)
	case r.Version < 0:
		err = fmt.Errorf("subscription %q: version %d is negative", r.ID, r.Version)
	}
	return r, err
}
