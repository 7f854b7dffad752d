package sqlprovider

import (
	"database/sql"
	"fmt"
	"slices"

	"github.com/keyhatch/keyhatch/entitlement"
)

// A row is a stored state of any kind, with the columns of a subscription. A row that
// a billing system has reported is called a record, and is in the table of records. A hold has no
// Plan and no PeriodEnd. Its status is held, or Ended if it was released. The status of a
// refund or dispute says how much it takes back.
type row struct {
	entitlement.Subscription
	kind               string
	parentKind, parent string // the kind and the ID of the record to which this one belongs
	amount             int64
	currency           string
	override           entitlement.Override // of the kind override
	wasMoved           bool                 // the host has moved the subscription to its owner

	// Not stored: the owners that the report names, and its Snapshot.
	named      []string
	isSnapshot bool
}

const (
	kindSubscription = "subscription"
	kindHold         = "hold"
	kindOverride     = "override"
	kindPayment      = "payment"
	kindCharge       = "charge"
	kindRefund       = string(entitlement.Refund)
	kindDispute      = string(entitlement.Dispute)

	held entitlement.Status = "held" // of a hold

	// Of a refund or dispute.
	whole    entitlement.Status = "whole"    // takes back the whole payment
	byAmount entitlement.Status = "amount"   // takes back its amount
	released entitlement.Status = "released" // takes back nothing
)

// endingStatuses maps a status to the one that is stored if the subscription is not renewed.
var endingStatuses = map[entitlement.Status]string{
	entitlement.Active: "active_ending", entitlement.Trialing: "trialing_ending",
}

// storedStatus returns the status of s as it is stored. It includes CancelAtPeriodEnd, if
// that has an effect.
func storedStatus(s entitlement.Subscription) string {
	if stored, ok := endingStatuses[s.Status]; ok && s.CancelAtPeriodEnd {
		return stored
	}
	return string(s.Status)
}

// parseStatus returns the status and CancelAtPeriodEnd of a stored status, which may be
// unknown.
func parseStatus(stored string) (status entitlement.Status, cancelAtPeriodEnd bool) {
	for status, ending := range endingStatuses {
		if stored == ending {
			return status, true
		}
	}
	return entitlement.Status(stored), false
}

// statuses lists the statuses that a row of a kind may have.
var statuses = map[string][]entitlement.Status{
	kindSubscription: {entitlement.Active, entitlement.Trialing, entitlement.PastDue, entitlement.Ended},
	kindHold:         {held, entitlement.Ended},
	kindOverride:     {""}, kindPayment: {""}, kindCharge: {""},
	kindRefund: {byAmount, whole, released}, kindDispute: {whole, released},
}

func rowOfHold(h entitlement.Hold) row {
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

// scanRow checks every value, since others can write to the table.
func scanRow(rows *sql.Rows) (r row, err error) {
	var status string
	err = rows.Scan(&r.Source, &r.kind, &r.ID, &r.parentKind, &r.parent, &r.Owner, &r.Customer, &r.Plan, &status,
		instantColumn{&r.StartedAt}, instantColumn{&r.PeriodStart}, instantColumn{&r.PeriodEnd},
		&r.amount, &r.currency, instantColumn{&r.UpdatedAt}, &r.Version, &r.wasMoved, overrideColumn{&r.override})
	r.Status, r.CancelAtPeriodEnd = parseStatus(status)
	switch {
	case err != nil:
	case !slices.Contains(statuses[r.kind], r.Status):
		err = fmt.Errorf("%q: unknown kind %q or status %q", r.ID, r.kind, status)
	case r.Version < 0 || r.amount < 0:
		err = fmt.Errorf("%q: version %d or amount %d is negative", r.ID, r.Version, r.amount)
	}
	return r, err
}
