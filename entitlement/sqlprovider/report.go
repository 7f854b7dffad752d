package sqlprovider

import (
	"errors"
	"fmt"
	"regexp"
	"slices"

	"github.com/keyhatch/keyhatch/entitlement"
	"github.com/keyhatch/keyhatch/internal/text"
)

// rowsOf returns a row for each part of a report, or an error if a value is invalid.
func (p *Provider) rowsOf(report entitlement.Report) (rows []row, err error) {
	if err := invalid("Source", checkSource(report.Source)); err != nil {
		return nil, err
	}
	if err := invalid("Event", text.Check(report.Event, text.MaxID)); err != nil {
		return nil, err
	}
	if report.Subscription != nil {
		if err := p.checkPlan(*report.Subscription); err != nil {
			return nil, err
		}
	}
	rows = rowsOfParts(report)
	for i := range rows {
		rows[i].Source, rows[i].isSnapshot = report.Source, report.Snapshot
		if err := rows[i].checkRecord(); err != nil {
			return nil, err
		}
	}
	return rows, nil
}

// rowsOfParts returns a row for each part of a report.
func rowsOfParts(report entitlement.Report) (rows []row) {
	if s := report.Subscription; s != nil {
		rows = append(rows, row{Subscription: *s, kind: kindSubscription, named: named(s.Owner, report.Owners)})
	}
	if pay := report.Payment; pay != nil {
		rows = append(rows, rowOfPayment(*pay))
	}
	if c := report.Charge; c != nil {
		rows = append(rows, rowOfCharge(*c))
	}
	if v := report.Reversal; v != nil {
		rows = append(rows, rowOfReversal(*v))
	}
	return rows
}

// named returns the owners that a report names.
func named(owner string, others []string) []string {
	all := append([]string{owner}, others...)
	slices.Sort(all)
	return slices.DeleteFunc(slices.Compact(all), func(s string) bool { return s == "" })
}

func rowOfPayment(p entitlement.Payment) row {
	s := entitlement.Subscription{ID: p.ID, PeriodStart: p.PeriodStart, PeriodEnd: p.PeriodEnd, UpdatedAt: p.UpdatedAt, Version: p.Version}
	return row{Subscription: s, kind: kindPayment, parentKind: kindSubscription, parent: p.Subscription, amount: p.Amount, currency: p.Currency}
}

func rowOfCharge(c entitlement.Charge) row {
	s := entitlement.Subscription{ID: c.ID, UpdatedAt: c.UpdatedAt}
	return row{Subscription: s, kind: kindCharge, parentKind: kindPayment, parent: c.Payment}
}

func rowOfReversal(v entitlement.Reversal) row {
	s := entitlement.Subscription{ID: v.ID, Status: byAmount, UpdatedAt: v.UpdatedAt, Version: v.Version}
	r := row{Subscription: s, kind: string(v.Kind), parentKind: kindPayment, parent: v.Payment, amount: v.Amount, currency: v.Currency}
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

// checkRecord rounds the times to the precision that is stored. It returns an error if a
// value is invalid.
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
	case (r.currency != "" || r.kind == kindPayment || r.Status == byAmount) && !validCurrency.MatchString(r.currency):
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
