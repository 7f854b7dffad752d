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
// longer than [entitlement.MaxGrace] ago, since they grant nothing. Of the subscriptions and
// the holds, the one that began last comes first.
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

// A row is a stored state: of a subscription, or with the columns of one, of something
// else. A hold has no Plan and no PeriodEnd. Its status is held, or Ended if it was
// released. A refund or dispute takes back the whole payment or an amount, or was released.
type row struct {
	entitlement.Subscription
	kind               string
	parentKind, parent string // the kind and the ID of the record to which this one belongs
	amount             int64
	currency           string
	override           entitlement.Override // of the kind override
	named              []string             // the owners that a report names
	wasMoved           bool                 // the host has moved the subscription to its owner
	isSnapshot         bool                 // of a report; see there
}

const (
	kindSubscription = "subscription"
	kindHold         = "hold"
	kindOverride     = "override"
	kindPayment      = "payment"
	kindCharge       = "charge"
	kindRefund       = string(entitlement.Refund)
	kindDispute      = string(entitlement.Dispute)

	held     entitlement.Status = "held"
	whole    entitlement.Status = "whole"  // takes back the whole payment
	partly   entitlement.Status = "amount" // takes back its amount
	released entitlement.Status = "released"
)

// statuses lists the statuses that a row of a kind may have.
var statuses = map[string][]entitlement.Status{
	kindSubscription: {entitlement.Active, entitlement.Trialing, entitlement.PastDue, entitlement.Ended},
	kindHold:         {held, entitlement.Ended},
	kindOverride:     {""}, kindPayment: {""}, kindCharge: {""},
	kindRefund: {partly, whole, released}, kindDispute: {whole, released},
}

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

func (r row) payment() entitlement.Payment {
	return entitlement.Payment{
		Source: r.Source, ID: r.ID, Subscription: r.parent, Amount: r.amount, Currency: r.currency,
		PeriodStart: r.PeriodStart, PeriodEnd: r.PeriodEnd, UpdatedAt: r.UpdatedAt, Version: r.Version,
	}
}

// reversal returns the refund or dispute of a row. The charges map each charge to its
// payment.
func (r row) reversal(charges map[rowID]string) entitlement.Reversal {
	v := entitlement.Reversal{
		Source: r.Source, ID: r.ID, Kind: entitlement.ReversalKind(r.kind), Payment: r.parent,
		Whole: r.Status == whole, Amount: r.amount, Currency: r.currency, Released: r.Status == released,
		UpdatedAt: r.UpdatedAt, Version: r.Version,
	}
	if r.parentKind == kindCharge {
		v.Charge, v.Payment = r.parent, charges[rowID{r.Source, r.parent}]
	}
	return v
}

// A rowID identifies a row among those of the same kind and owner.
type rowID struct{ source, id string }

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

// scanRow checks every value, since others can write to the table.
func scanRow(rows *sql.Rows) (r row, err error) {
	var status string
	err = rows.Scan(&r.Source, &r.kind, &r.ID, &r.parentKind, &r.parent, &r.Owner, &r.Customer, &r.Plan, &status,
		instantColumn{&r.StartedAt}, instantColumn{&r.PeriodStart}, instantColumn{&r.PeriodEnd},
		&r.amount, &r.currency, instantColumn{&r.UpdatedAt}, &r.Version, &r.wasMoved, overrideColumn{&r.override})
	r.Status = entitlement.Status(status)
	switch {
	case err != nil:
	case !slices.Contains(statuses[r.kind], r.Status):
		err = fmt.Errorf("%q: unknown kind %q or status %q", r.ID, r.kind, status)
	case r.Version < 0 || r.amount < 0:
		err = fmt.Errorf("%q: version %d or amount %d is negative", r.ID, r.Version, r.amount)
	}
	return r, err
}
