package sqlprovider

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"time"

	"github.com/keyhatch/keyhatch/entitlement"
	"github.com/keyhatch/keyhatch/internal/sqldb"
	"github.com/keyhatch/keyhatch/internal/text"
)

// Apply stores what a billing system reports. Each part of the report replaces its stored
// state, unless that is as new or newer, by UpdatedAt and then by Version. So reports may
// arrive repeatedly and in any order: a refund before its payment, and a payment before
// its subscription. Apply writes one part after the other. If it fails, apply the report
// again.
//
// # Owner
//
// A subscription keeps the owner with whom it was stored first: the one that the report
// names or, if it names none, the owner of the customer's other subscriptions, if they all
// have the same one. A later report must name the same owner, or none.
//
// [Provider.SetOwner] moves a subscription to another owner. From then on, the owner that
// reports name is not compared any more.
//
// # Errors
//
// Apply returns an [*entitlement.InvalidError], and does not store the part, if
//   - the source, an ID, an amount, a currency, a time or a plan is invalid. The limits
//     are those of [Provider.Put]; the end of a period must not be before its start.
//   - the owner is unknown, unless the subscription has ended, or contradicts the stored
//     one,
//   - the report contradicts the stored record in another way: it names another
//     customer, subscription or payment, or a refund is in another currency than its
//     payment.
//
// The error matches [entitlement.ErrUnknownPlan] if the plan is not in the catalog.
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
	}
	for _, r := range rows {
		owners, err := p.touch(ctx, r)
		if err != nil {
			return applied, wrap("apply", err)
		}
		applied.Owners = append(applied.Owners, owners...)
	}
	slices.Sort(applied.Owners)
	applied.Owners = slices.Compact(applied.Owners)
	if report.Event != "" {
		_, err = p.exec(ctx, p.sql.deleteRejected, report.Source, report.Event)
	}
	return applied, wrap("apply", err)
}

// rowsOf returns the checked parts of a report.
func (p *Provider) rowsOf(report entitlement.Report) (rows []row, err error) {
	if err := invalid("Source", checkSource(report.Source)); err != nil {
		return nil, err
	}
	if err := invalid("Event", text.Check(report.Event, text.MaxID)); err != nil {
		return nil, err
	}
	if s := report.Subscription; s != nil {
		if err := p.checkPlan(*s); err != nil {
			return nil, err
		}
		rows = append(rows, row{Subscription: *s, kind: kindSubscription, named: named(s.Owner, report.Owners)})
	}
	if pay := report.Payment; pay != nil {
		rows = append(rows, row{kind: kindPayment, parentKind: kindSubscription, parent: pay.Subscription, amount: pay.Amount, currency: pay.Currency,
			Subscription: entitlement.Subscription{ID: pay.ID, PeriodStart: pay.PeriodStart, PeriodEnd: pay.PeriodEnd, UpdatedAt: pay.UpdatedAt, Version: pay.Version}})
	}
	if c := report.Charge; c != nil {
		rows = append(rows, row{kind: kindCharge, parentKind: kindPayment, parent: c.Payment,
			Subscription: entitlement.Subscription{ID: c.ID, UpdatedAt: c.UpdatedAt}})
	}
	if v := report.Reversal; v != nil {
		rows = append(rows, rowOfReversal(*v))
	}
	for i := range rows {
		rows[i].Source, rows[i].isSnapshot = report.Source, report.Snapshot
		if err := rows[i].checkRecord(); err != nil {
			return nil, err
		}
	}
	return rows, nil
}

// named returns the owners that a report names.
func named(owner string, others []string) []string {
	all := append([]string{owner}, others...)
	slices.Sort(all)
	return slices.DeleteFunc(slices.Compact(all), func(s string) bool { return s == "" })
}

func rowOfReversal(v entitlement.Reversal) row {
	r := row{kind: string(v.Kind), parentKind: kindPayment, parent: v.Payment, amount: v.Amount, currency: v.Currency,
		Subscription: entitlement.Subscription{ID: v.ID, Status: partly, UpdatedAt: v.UpdatedAt, Version: v.Version}}
	if v.Payment == "" {
		r.parentKind, r.parent = kindCharge, v.Charge
	}
	switch {
	case v.Released:
		r.Status = released
	case v.Whole || v.Kind == entitlement.Dispute:
		r.Status = whole
	}
	return r
}

var validCurrency = regexp.MustCompile(`^[a-z]{3}$`)

// checkRecord rounds the times as they are stored. It returns an error if a value is
// invalid.
func (r *row) checkRecord() error {
	err := r.normalizeTimes()
	switch {
	case err != nil:
		return err
	case !slices.Contains(statuses[r.kind], r.Status) || r.kind == kindHold || r.kind == kindOverride:
		return invalid("Kind", fmt.Errorf("unknown kind %q", r.kind))
	case text.CheckID(r.ID) != nil:
		return invalid("ID", text.CheckID(r.ID))
	case text.Check(r.Customer, text.MaxID) != nil:
		return invalid("Customer", text.Check(r.Customer, text.MaxID))
	case r.parentKind != "" && text.CheckID(r.parent) != nil:
		return invalid(r.parentKind, text.CheckID(r.parent))
	case r.amount < 0:
		return invalid("Amount", fmt.Errorf("%d is negative", r.amount))
	case (r.currency != "" || r.kind == kindPayment || r.Status == partly) && !validCurrency.MatchString(r.currency):
		return invalid("Currency", errors.New("must be three lower-case letters"))
	}
	for _, owner := range r.named {
		if err := invalid("Owner", text.CheckID(owner)); err != nil {
			return err
		}
	}
	return r.checkPeriod()
}

// checkPeriod returns an error if the period runs backwards.
func (r *row) checkPeriod() error {
	if !r.PeriodEnd.IsZero() && r.PeriodEnd.Before(r.PeriodStart) {
		return invalid("PeriodEnd", errors.New("must not be before PeriodStart"))
	}
	return nil
}

// putRecord stores a record unless the stored one is as new or newer.
func (p *Provider) putRecord(ctx context.Context, r row) (changed bool, err error) {
	if r.kind == kindSubscription {
		r.Owner, err = p.findOwner(ctx, r)
	}
	if err == nil && r.Status == partly {
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
	n, err := p.execPut(ctx, r, time.Now().UnixMicro())
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
		s.Plan == r.Plan && s.Status == r.Status && s.amount == r.amount && s.currency == r.currency &&
		s.StartedAt.Equal(r.StartedAt) && s.PeriodStart.Equal(r.PeriodStart) && s.PeriodEnd.Equal(r.PeriodEnd), nil
}

func (p *Provider) execPut(ctx context.Context, r row, now int64) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, writeTimeout) // for both statements
	defer cancel()
	status, updated := string(r.Status), sqldb.Micros(r.UpdatedAt)
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
	case r.Customer != "" && r.Customer != stored.Customer:
		return invalid("Customer", fmt.Errorf("the subscription %q belongs to the customer %q already", r.ID, stored.Customer))
	case r.Owner != stored.Owner:
		return invalid("Owner", fmt.Errorf("the event names another owner than the one who has the subscription %q; call SetOwner to move it", r.ID))
	}
	return sqldb.ErrSkipped
}

// touch marks the subscription to which a record belongs as written, so that a Watch
// reports its owner. It returns the owner, if the subscription has arrived.
func (p *Provider) touch(ctx context.Context, r row) (owners []string, err error) {
	above, err := p.lineage(ctx, r.Source, r.kind, r.ID)
	if err != nil {
		return nil, err
	}
	for _, s := range above {
		if s.kind != kindSubscription {
			continue
		}
		if s.Owner != "" {
			owners = append(owners, s.Owner)
		}
		if r.kind != kindSubscription { // otherwise it was just written
			now := time.Now().UnixMicro()
			if err := p.execOne(ctx, p.sql.touch, now, now, s.Source, s.ID); err != nil {
				return nil, err
			}
		}
	}
	return owners, nil
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

// execOne is exec of a statement that must change a row.
func (p *Provider) execOne(ctx context.Context, statement string, args ...any) error {
	n, err := p.exec(ctx, statement, args...)
	if err == nil && n == 0 {
		err = sqldb.ErrSkipped
	}
	return err
}

// Subscriptions returns the subscriptions that the source has reported and whose IDs are
// greater than after, in the order of their IDs, and at most limit. It is for a pass over
// all of them.
func (p *Provider) Subscriptions(ctx context.Context, source, after string, limit int) ([]entitlement.Subscription, error) {
	rows, err := collect(ctx, p, scanRow, p.sql.subscriptions, source, after, limit)
	all := make([]entitlement.Subscription, len(rows))
	for i, r := range rows {
		all[i] = r.Subscription
	}
	return all, wrap("subscriptions", err)
}

func scanText(rows *sql.Rows) (s string, err error) {
	err = rows.Scan(&s)
	return s, err
}
