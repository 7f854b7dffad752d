package plans_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/keyhatch/keyhatch/entitlement/webhook"
)

// A billing is a billing system that sends the events of an account. Package webhook
// documents the differences between them.
type billing struct {
	name        string
	source      func(secrets ...string) webhook.Source
	sign        func(h http.Header, id string, body []byte)
	resets      bool // an upgrade begins a new period, and a pause makes a period longer
	disputes    bool // it sends events of disputes
	failsAtOnce bool // a refund that has succeeded does not fail later

	envelope func(id, kind string, at time.Time, data object) object
	types    map[change][]string // of the events of a change
	state    func(l *ledger, s state) object
	paid     func(l *ledger, s state, one *payment)
	refunded func(l *ledger, s state, r refund)
	disputed func(l *ledger, s state, d dispute)
}

var billings = []billing{stripe, polar, dodo}

// An event is to be sent on a day.
type event struct {
	day  int
	at   time.Time
	id   string
	body []byte
}

// A change is a reason why a state of a subscription is sent.
type change string

const (
	begun     change = "begun"
	renewed   change = "renewed"
	failed    change = "failed" // a payment
	recovered change = "recovered"
	upgraded  change = "upgraded"
	cancelled change = "cancelled" // at the end of the period
	ended     change = "ended"
	paused    change = "paused"
	resumed   change = "resumed"
)

// A state is that of a subscription, or of one of its payments.
type state struct {
	change
	at       time.Time
	status   string // active, trialing, past_due, paused or canceled
	plan     string
	from, to time.Time // the current period
	paidFrom time.Time // when the last paid period began
	lasts    bool      // it is not cancelled
	isChange bool      // the payment is for an upgrade in the period

	subscription, customer, payment, reversal string // IDs

	metadata  object
	began     time.Time
	trialEnd  time.Time // zero without a trial
	trialDays int
}

// A ledger collects the events of a purchase.
type ledger struct {
	billing
	old      bool // before API version 2025-03-31.basil of Stripe; at Dodo, the other of two forms
	name     string
	purchase *purchase
	base     state
	all      []event
}

// events returns the events of an account, in the order of their days.
func (b billing) events(a account, owner string, seed uint64) (all []event) {
	for i, bought := range a {
		l := &ledger{billing: b, old: seed%4 == 3, name: fmt.Sprintf("%s_%d", owner, i), purchase: bought}
		l.base = state{subscription: "sub_" + l.name, customer: "cus_" + owner, metadata: object{"owner": owner}, began: dayAt(bought.Periods[0].From), lasts: true}
		if bought.Anonymous {
			l.base.metadata = object{}
		}
		if first := bought.Periods[0]; first.Trial {
			l.base.trialEnd, l.base.trialDays = dayAt(first.To), first.To-first.From
		}
		l.tell()
		all = append(all, l.all...)
	}
	slices.SortStableFunc(all, func(a, b event) int { return a.at.Compare(b.at) })
	return all
}

func (l *ledger) tell() {
	for i, p := range l.purchase.Periods {
		l.tellStart(i, p)
		if day := p.Upgrade; day < never {
			l.change(upgraded, dayAt(day), p, "active")
		}
		for n, one := range p.Payments {
			s := l.stateOf(renewed, dayAt(one.Day), p, "active")
			s.isChange, s.payment = n > 0, fmt.Sprintf("pay_%s_%d_%d", l.name, i, n)
			l.tellPayment(one, s)
		}
		if p.Paused < never {
			l.change(paused, dayAt(p.Paused), p, "paused")
			if p.Paused < p.To {
				l.change(resumed, dayAt(p.Resumed), p, "active")
			}
		}
	}
	last := l.purchase.Periods[len(l.purchase.Periods)-1]
	if day := l.purchase.Cancelled; day < never {
		l.change(cancelled, dayAt(day), last, l.statusOf(last))
	}
	l.change(ended, dayAt(l.purchase.Ends), last, "canceled")
}

func (l *ledger) statusOf(p *period) string {
	if p.Trial {
		return "trialing"
	}
	return "active"
}

// tellStart tells of a period, and of a payment that failed first.
func (l *ledger) tellStart(i int, p *period) {
	kind := renewed
	switch {
	case i == 0:
		kind = begun
	case p.isChange:
		kind = upgraded
	case p.resume:
		kind = resumed
	}
	late := !p.Trial && !p.isPaid(p.From)
	if !late || !l.resets {
		l.change(kind, dayAt(p.From), p, l.statusOf(p))
	}
	if late {
		l.change(failed, dayAt(p.From).Add(65*time.Minute), p, "past_due")
	}
	if late && len(p.Payments) > 0 {
		l.change(recovered, dayAt(p.Payments[0].Day).Add(66*time.Minute), p, "active")
	}
	if p.Trial && !l.resets {
		s := l.stateOf(begun, dayAt(p.From), p, "trialing")
		s.payment = "pay_" + l.name
		l.tellPayment(&payment{Day: p.From}, s)
	}
}

// stateOf returns the state at an instant of a period.
func (l *ledger) stateOf(kind change, when time.Time, p *period, status string) state {
	s := l.base
	s.change, s.at, s.status, s.plan, s.from, s.to, s.paidFrom = kind, when, status, p.Plan, dayAt(p.From), dayAt(p.To), dayAt(p.From)
	if !when.Before(dayAt(p.Upgrade)) {
		s.plan = "max"
	}
	if p.Paused < p.To && when.Before(dayAt(p.Resumed)) {
		s.to = dayAt(p.To - (p.Resumed - p.Paused)) // the pause has not yet made the period longer
	}
	if status == "past_due" {
		s.paidFrom = dayAt(l.purchase.Periods[slices.Index(l.purchase.Periods, p)-1].From)
	}
	s.lasts = when.Before(dayAt(l.purchase.Cancelled))
	return s
}

func (l *ledger) change(kind change, when time.Time, p *period, status string) {
	s := l.stateOf(kind, when, p, status)
	for _, name := range l.types[kind] {
		l.add(name, when, l.billing.state(l, s))
	}
}

func (l *ledger) tellPayment(one *payment, s state) {
	l.paid(l, s, one)
	for i, r := range one.Refunds {
		s.reversal = fmt.Sprint("re_", s.payment, "_", i)
		l.refunded(l, s, r)
	}
	for i, d := range one.Disputes {
		s.reversal = fmt.Sprint("dp_", s.payment, "_", i)
		l.disputed(l, s, d)
	}
}

func (l *ledger) add(kind string, when time.Time, data object) {
	id := fmt.Sprintf("evt_%s_%d", l.name, len(l.all))
	body, err := json.Marshal(l.envelope(id, kind, when, data))
	if err != nil {
		panic(err)
	}
	l.all = append(l.all, event{int(when.Sub(dayAt(0)) / (24 * time.Hour)), when, id, body})
}
