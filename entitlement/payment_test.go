package entitlement_test

import (
	"math"
	"strconv"
	"testing"
	"time"

	"github.com/keyhatch/keyhatch/entitlement"
)

// at returns the instant so many days after begin.
func at(days int) time.Time { return begin.Add(time.Duration(days) * day) }

// newPayment returns a payment of 1,000 cents for the days.
func newPayment(id, subscription string, from, to int) entitlement.Payment {
	return entitlement.Payment{Source: "stripe", ID: id, Subscription: subscription, Amount: 1000, Currency: "usd", PeriodStart: at(from), PeriodEnd: at(to)}
}

// newOpenPayment returns a payment on a day, for the time until the next one.
func newOpenPayment(id string, from int) entitlement.Payment {
	p := newPayment(id, "1", from, 0)
	p.PeriodEnd = time.Time{}
	return p
}

func newRefund(id, payment string, amount int64) entitlement.Reversal {
	return entitlement.Reversal{Source: "stripe", ID: id, Kind: entitlement.Refund, Payment: payment, Amount: amount, Currency: "usd"}
}

func newDispute(payment string) entitlement.Reversal {
	return entitlement.Reversal{Source: "stripe", ID: "dp", Kind: entitlement.Dispute, Payment: payment}
}

// stripeSub is newSub of Stripe.
func stripeSub(id, plan string, status entitlement.Status, since, until int) entitlement.Subscription {
	s := newSub(id, plan, status, since, until)
	s.Source, s.PeriodStart = "stripe", s.StartedAt
	return s
}

// E-03: a refund or dispute ends what its payment paid for, and nothing else.
func TestReversals(t *testing.T) {
	t.Parallel()
	pro, team := stripeSub("1", "pro", active, 0, 30), stripeSub("2", "team", active, 10, 40)
	renewed := changed(stripeSub("1", "pro", active, 0, 60), func(s *entitlement.Subscription) { s.PeriodStart = at(30) })
	pays, both := newPayment("p1", "1", 0, 30), []entitlement.Payment{newPayment("p1", "1", 0, 30), newPayment("p2", "2", 10, 40)}
	months := []entitlement.Payment{newPayment("p1", "1", 0, 30), newPayment("p2", "1", 30, 60)}
	upgrade := []entitlement.Payment{newPayment("p1", "1", 0, 30), newPayment("up", "1", 15, 30)}
	open := []entitlement.Payment{newOpenPayment("p1", 0), newOpenPayment("p2", 30)}
	mixed := []entitlement.Payment{newOpenPayment("p1", 0), newPayment("p2", "1", 30, 60)}
	yearly := changed(stripeSub("1", "pro", active, 0, 380), func(s *entitlement.Subscription) { s.PeriodStart = at(15) })
	yearlyPaid := payments(newPayment("p1", "1", 0, 30), newPayment("p2", "1", 15, 380))
	for _, tt := range []struct {
		name      string
		subs      []entitlement.Subscription
		payments  []entitlement.Payment
		reversals []entitlement.Reversal
		day       int
		plan      string // "" for no access
	}{
		{"paid", subs(pro), payments(pays), nil, 3, "pro"},
		{"no payment is known", subs(pro), nil, reversals(newRefund("r", "p1", 1000)), 3, "pro"},
		{"refunded in full", subs(pro), payments(pays), reversals(newRefund("r", "p1", 1000)), 3, ""},
		{"refunded in part", subs(pro), payments(pays), reversals(newRefund("r", "p1", 999)), 3, "pro"},
		{"refunded in two parts", subs(pro), payments(pays), reversals(newRefund("r", "p1", 400), newRefund("s", "p1", 600)), 3, ""},
		{"one of two parts failed", subs(pro), payments(pays), reversals(newRefund("r", "p1", 400), changed(newRefund("s", "p1", 600), setUndone)), 3, "pro"},
		{"refunded by more than all", subs(pro), payments(pays), reversals(newRefund("r", "p1", math.MaxInt64), newRefund("s", "p1", math.MaxInt64)), 3, ""},
		{"refunded in another currency", subs(pro), payments(pays), reversals(changed(newRefund("r", "p1", 1000), setEuro)), 3, "pro"},
		{"refunded as a whole, in another currency", subs(pro), payments(pays), reversals(changed(changed(newRefund("r", "p1", 1), setEuro), setWhole)), 3, ""},
		{"disputed", subs(pro), payments(pays), reversals(newDispute("p1")), 3, ""},
		{"dispute won", subs(pro), payments(pays), reversals(changed(newDispute("p1"), setUndone)), 3, "pro"},
		{"refund of another source's payment", subs(pro), payments(pays), reversals(changed(newRefund("r", "p1", 1000), setPolar)), 3, "pro"},
		{"another source's subscription with the same ID", subs(pro), payments(changed(pays, func(p *entitlement.Payment) { p.Source = "polar" })), reversals(changed(newRefund("r", "p1", 1000), setPolar)), 3, "pro"},
		{"nothing was paid, and nothing refunded", subs(pro), payments(changed(pays, func(p *entitlement.Payment) { p.Amount = 0 })), nil, 3, "pro"},

		{"duplicate purchase, one refunded", subs(pro, team), both, reversals(newRefund("r", "p2", 1000)), 12, "pro"},
		{"duplicate purchase, the other refunded", subs(pro, team), both, reversals(newRefund("r", "p1", 1000)), 12, "team"},
		{"duplicate purchase, both refunded", subs(pro, team), both, reversals(newRefund("r", "p1", 1000), newRefund("s", "p2", 1000)), 12, ""},
		{"the old plan disputed after an upgrade by a purchase", subs(pro, team), both, reversals(newDispute("p1")), 12, "team"},

		{"the last period refunded", subs(renewed), months, reversals(newRefund("r", "p1", 1000)), 31, "pro"},
		{"the current period refunded", subs(renewed), months, reversals(newRefund("r", "p2", 1000)), 31, ""},
		{"the last period disputed", subs(renewed), months, reversals(newDispute("p1")), 31, "pro"},
		{"the next period refunded in advance", subs(renewed), months, reversals(newRefund("r", "p2", 1000)), 29, "pro"},

		{"the price of an upgrade refunded", subs(pro), upgrade, reversals(newRefund("r", "up", 1000)), 16, "pro"},
		{"an upgrade and its period refunded", subs(pro), upgrade, reversals(newRefund("r", "up", 1000), newRefund("s", "p1", 1000)), 16, ""},
		{"the price of an upgrade disputed", subs(pro), upgrade, reversals(newDispute("up")), 16, ""},

		{"a yearly period begun within a month, refunded", subs(yearly), yearlyPaid, reversals(newRefund("r", "p2", 1000)), 20, ""},
		{"a yearly period begun within a month, the month refunded", subs(yearly), yearlyPaid, reversals(newRefund("r", "p1", 1000)), 20, "pro"},
		{"in grace", subs(changed(pro, setPastDue)), payments(pays), nil, 31, "pro"},
		{"in grace after a refunded period", subs(changed(pro, setPastDue)), payments(pays), reversals(newRefund("r", "p1", 1000)), 31, ""},
		{"in grace after a period with a refund before", subs(changed(changed(renewed, setPastDue), setNoPeriod)), months, reversals(newRefund("r", "p1", 1000)), 61, "pro"},

		{"without PeriodEnd: current refunded", subs(renewed), open, reversals(newRefund("r", "p2", 1000)), 31, ""},
		{"without PeriodEnd: last refunded", subs(renewed), open, reversals(newRefund("r", "p1", 1000)), 31, "pro"},
		{"without PeriodEnd: a free period after a refunded one", subs(renewed), payments(open[0], changed(open[1], func(p *entitlement.Payment) { p.Amount = 0 })), reversals(newRefund("r", "p1", 1000)), 31, "pro"},
		{"without PeriodEnd: in grace, last refunded", subs(changed(changed(renewed, setPastDue), setNoPeriod)), open, reversals(newRefund("r", "p2", 1000)), 61, ""},
		{"without PeriodEnd: in grace, an earlier one refunded", subs(changed(changed(renewed, setPastDue), setNoPeriod)), open, reversals(newRefund("r", "p1", 1000)), 61, "pro"},
		{"without PeriodEnd: changed within a period, change refunded", subs(changed(renewed, func(s *entitlement.Subscription) { s.PeriodStart = at(20) })), payments(newOpenPayment("p1", 0), newOpenPayment("p2", 20)), reversals(newRefund("r", "p2", 1000)), 21, ""},
		{"without PeriodEnd: a new period that a credit pays", subs(changed(renewed, func(s *entitlement.Subscription) { s.PeriodStart = at(20) })), payments(newOpenPayment("p1", 0)), reversals(newRefund("r", "p1", 1000)), 21, ""},
		{"only the current one with PeriodEnd: refunded", subs(renewed), mixed, reversals(newRefund("r", "p2", 1000)), 31, ""},
		{"only the current one with PeriodEnd: an earlier one disputed", subs(renewed), mixed, reversals(newDispute("p1")), 31, "pro"},
		{"only the current one with PeriodEnd: an earlier one disputed, and the next one unknown", subs(changed(renewed, func(s *entitlement.Subscription) { s.PeriodEnd = at(90) })), mixed, reversals(newDispute("p1")), 65, "pro"},
		{"only the change with PeriodEnd: period refunded", subs(pro), payments(newOpenPayment("p1", 0), newPayment("up", "1", 15, 30)), reversals(newRefund("r", "p1", 1000)), 20, "pro"},
		{"only the change with PeriodEnd: all refunded", subs(pro), payments(newOpenPayment("p1", 0), newPayment("up", "1", 15, 30)), reversals(newRefund("r", "p1", 1000), newRefund("s", "up", 1000)), 20, ""},
	} {
		for paid := range permutations(tt.payments) {
			for back := range permutations(tt.reversals) {
				bought := entitlement.Purchases{Subscriptions: tt.subs, Payments: paid, Reversals: back}
				e, err := newCatalog(t).Resolve(bought, at(tt.day).Add(12*time.Hour))
				if err != nil || e.APIAccess != (tt.plan != "") || tt.plan != "" && e.Plan != tt.plan {
					t.Errorf("%s: got %+v, %v, want plan %q", tt.name, e, err, tt.plan)
				}
			}
		}
	}
}

// The time grows with the number of an owner's purchases, and not with its square.
func TestManyReversals(t *testing.T) {
	t.Parallel()
	const many = 30_000
	var bought entitlement.Purchases
	for i := range many {
		id := strconv.Itoa(i)
		bought.Subscriptions = append(bought.Subscriptions, stripeSub(id, "pro", active, 0, 30))
		bought.Payments = append(bought.Payments, newPayment("of "+id, id, 0, 30), newPayment("p"+id, "0", 0, 30))
		bought.Reversals = append(bought.Reversals, newRefund("of "+id, "of "+id, 1000), newRefund("r"+id, "p"+id, 1000))
	}
	catalog, began := newCatalog(t), time.Now()
	if e, err := catalog.Resolve(bought, at(3)); err != nil || e.APIAccess {
		t.Errorf("got %+v, %v, want no access", e, err)
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("took %v", took)
	}
}

func payments(p ...entitlement.Payment) []entitlement.Payment    { return p }
func reversals(r ...entitlement.Reversal) []entitlement.Reversal { return r }

func setUndone(r *entitlement.Reversal)       { r.Released = true }
func setEuro(r *entitlement.Reversal)         { r.Currency = "eur" }
func setWhole(r *entitlement.Reversal)        { r.Whole = true }
func setPolar(r *entitlement.Reversal)        { r.Source = "polar" }
func setPastDue(s *entitlement.Subscription)  { s.Status = pastDue }
func setNoPeriod(s *entitlement.Subscription) { s.PeriodStart = time.Time{} }

// A period that is renewed lasts one more hour. In that hour, its own payment counts unless
// the payment for the next period is known.
func TestReversalsAtTheRenewal(t *testing.T) {
	t.Parallel()
	s := stripeSub("1", "pro", active, 0, 30)
	first, next := newPayment("p1", "1", 0, 30), newPayment("p2", "1", 30, 60)
	for _, tt := range []struct {
		name     string
		payments []entitlement.Payment
		refunded string
		want     bool
	}{
		{"not renewed yet", payments(first), "", true},
		{"not renewed yet, refunded", payments(first), "p1", false},
		{"renewed, the last period refunded", payments(first, next), "p1", true},
		{"renewed and refunded", payments(first, next), "p2", false},
	} {
		bought := entitlement.Purchases{Subscriptions: subs(s), Payments: tt.payments, Reversals: reversals(newRefund("r", tt.refunded, 1000))}
		if e, err := newCatalog(t).Resolve(bought, at(30).Add(30*time.Minute)); err != nil || e.APIAccess != tt.want {
			t.Errorf("%s: got %+v, %v, want access %t", tt.name, e, err, tt.want)
		}
	}
}
