package sqlprovider

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/keyhatch/keyhatch/entitlement"
	"github.com/keyhatch/keyhatch/internal/sqldb"
)

// Apply stores what a billing system reports. Each part of the report replaces its stored
// state, unless that is as new or newer, by UpdatedAt and then by Version. So reports may
// arrive repeatedly and in any order: a refund before its payment, and a payment before
// its subscription. Apply writes one part after the other, and then deletes the event that
// [Provider.SaveRejected] has saved under the report's Source and Event. If Apply fails,
// apply the report again.
//
// # Owner
//
// A subscription keeps the owner with whom it was stored first. This is the owner that the
// report names. If the report names none, it is the only owner of the customer's other
// subscriptions. A later report must name the same owner,
// or none, unless it reports that the subscription has ended.
//
// [Provider.SetOwner] moves a subscription to another owner. From then on, the owner that
// a report names does not count.
//
// # Errors
//
// Apply returns an [*entitlement.InvalidError], and does not store the part, if
//   - the source, an ID, an amount, a currency, a time or a plan is invalid. The limits
//     are those of [Provider.Put]. An ID must not be empty, an amount must not be
//     negative, a currency is three lower-case letters, and a period must not end before
//     it begins.
//   - the owner is unknown and the subscription has not ended,
//   - the report names several owners, or another one than the stored owner, unless SetOwner
//     has moved the subscription, or it has ended,
//   - the report names another customer of a subscription, another subscription of a
//     payment, or another payment of a charge, refund or dispute than the stored one, or
//   - a refund and its payment are in different currencies.
//
// The error matches [entitlement.ErrUnknownPlan] if the plan is not in the catalog. Any
// other error is one of the database.
func (p *Provider) Apply(ctx context.Context, report entitlement.Report) (applied entitlement.Applied, err error) {
	rows, err := p.rowsOf(report)
	if err != nil {
		return applied, wrap("apply", err)
	}
	for _, r := range rows {
		changed, err := p.putRecord(ctx, r)
		if err != nil {
			return applied, wrap("apply", err)
		}
		applied.Changed = applied.Changed || changed
		owners, isComplete, err := p.touch(ctx, r)
		if err != nil {
			return applied, wrap("apply", err)
		}
		applied.Owners = append(applied.Owners, owners...)
		applied.Incomplete = applied.Incomplete || !isComplete
	}
	slices.Sort(applied.Owners)
	applied.Owners = slices.Compact(applied.Owners)
	return applied, wrap("apply", p.deleteRejected(ctx, report.Source, report.Event))
}

// putRecord stores a record unless the stored one is as new or newer.
func (p *Provider) putRecord(ctx context.Context, r row) (changed bool, err error) {
	if r.kind == kindSubscription {
		r.Owner, err = p.findOwner(ctx, r)
	}
	if err == nil && r.Status == byAmount {
		err = p.checkCurrency(ctx, r)
	}
	if err != nil {
		return false, err
	}
	if r.isSnapshot {
		if same, err := p.isStored(ctx, r); same || err != nil {
			return false, err
		}
	}
	n, err := p.writeRecord(ctx, r, time.Now().UnixMicro())
	if err != nil || n > 0 {
		return n > 0, err
	}
	return false, p.checkRecordStored(ctx, r)
}

// checkCurrency returns an error if a refund and its payment have different currencies.
func (p *Provider) checkCurrency(ctx context.Context, r row) error {
	parents, err := p.lineage(ctx, r.Source, r.parentKind, r.parent)
	if err != nil {
		return err
	}
	for _, parent := range parents {
		if parent.kind == kindPayment && parent.currency != r.currency {
			return invalid("Currency", fmt.Errorf("the refund is in %s, but the payment was in %s", r.currency, parent.currency))
		}
	}
	return nil
}

// isStored reports whether the stored state says the same as r.
func (p *Provider) isStored(ctx context.Context, r row) (bool, error) {
	stored, err := p.lineage(ctx, r.Source, r.kind, r.ID)
	if err != nil || len(stored) == 0 {
		return false, err
	}
	s := stored[0]
	return s.parentKind == r.parentKind && s.parent == r.parent && (s.Owner == r.Owner || s.wasMoved) && (r.Customer == "" || s.Customer == r.Customer) &&
		s.Plan == r.Plan && storedStatus(s.Subscription) == storedStatus(r.Subscription) && s.amount == r.amount && s.currency == r.currency &&
		s.StartedAt.Equal(r.StartedAt) && s.PeriodStart.Equal(r.PeriodStart) && s.PeriodEnd.Equal(r.PeriodEnd), nil
}

// writeRecord inserts a record, or replaces an older state. It returns 0 if it did neither.
func (p *Provider) writeRecord(ctx context.Context, r row, now int64) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, writeTimeout) // for both statements
	defer cancel()
	status, updated := storedStatus(r.Subscription), sqldb.Micros(r.UpdatedAt)
	started, from, to := sqldb.Micros(r.StartedAt), sqldb.Micros(r.PeriodStart), sqldb.Micros(r.PeriodEnd)
	n, err := p.exec(ctx, p.sql.putRecord, r.Source, r.kind, r.ID, r.parentKind, r.parent, r.Owner, r.Customer, r.Plan, status,
		started, from, to, r.amount, r.currency, updated, r.Version, now)
	if p.dialect.isDuplicate == nil || !p.dialect.isDuplicate(err) {
		return n, err
	}
	return p.exec(ctx, p.sql.replaceRecord, r.Owner, r.Customer, r.Customer, r.Plan, status, started, from, to, r.amount, r.currency,
		updated, r.Version, now, r.Source, r.kind, r.ID, updated, updated, r.Version,
		r.parentKind, r.parent, r.Customer, r.Customer, r.Owner)
}

// checkRecordStored returns an error if neither r nor a newer state of it is stored.
func (p *Provider) checkRecordStored(ctx context.Context, r row) error {
	stored, err := p.lineage(ctx, r.Source, r.kind, r.ID)
	if err != nil {
		return err
	}
	switch {
	case len(stored) == 0:
		return sqldb.ErrSkipped
	case !r.Newer(stored[0].Subscription):
		return nil
	}
	return r.contradiction(stored[0])
}

// contradiction returns an error that says how r contradicts its stored state.
func (r row) contradiction(stored row) error {
	switch {
	case r.parentKind != stored.parentKind || r.parent != stored.parent:
		return invalid(r.parentKind, fmt.Errorf("the %s %q belongs to the %s %q already", r.kind, r.ID, stored.parentKind, stored.parent))
	case r.Customer != "" && stored.Customer != "" && r.Customer != stored.Customer:
		return invalid("Customer", fmt.Errorf("the subscription %q belongs to the customer %q already", r.ID, stored.Customer))
	case r.Owner != stored.Owner:
		return invalid("Owner", fmt.Errorf("the subscription %q belongs to another owner than the event names; to move it, call Handler.Transfer of package webhook, or SetOwner", r.ID))
	}
	return sqldb.ErrSkipped
}

// touch marks the subscription to which a record belongs as written, so that a Watch
// reports its owner. It returns the owner, if there is one, and whether the subscription is
// stored.
func (p *Provider) touch(ctx context.Context, r row) (owners []string, isComplete bool, err error) {
	above, err := p.lineage(ctx, r.Source, r.kind, r.ID)
	if err != nil {
		return nil, false, err
	}
	for _, s := range above {
		if s.kind != kindSubscription {
			continue
		}
		isComplete = true
		if s.Owner != "" {
			owners = append(owners, s.Owner)
		}
		if r.kind != kindSubscription { // otherwise it was just written
			now := time.Now().UnixMicro()
			if err := p.execOne(ctx, p.sql.touch, now, now, s.Source, s.ID); err != nil {
				return nil, false, err
			}
		}
	}
	return owners, isComplete, nil
}
