package plans_test

import "math/rand/v2"

// A teller invents a purchase.
type teller struct {
	*rand.Rand
	billing billing
	months  int // of a period
	plan    string
	bought  *purchase
}

// newAccount returns a random story of one to three purchases. Some begin on the same day.
func newAccount(random *rand.Rand, b billing) (a account) {
	for i := range 1 + random.IntN(3) {
		t := teller{Rand: random, billing: b, months: 1, plan: "pro", bought: &purchase{Cancelled: never, Anonymous: i > 0 && random.IntN(3) == 0}}
		if t.one(3) {
			t.plan = "max"
		}
		if t.one(6) {
			t.months = 12
		}
		day := 0
		if i > 0 && !t.one(4) {
			day = t.IntN(80)
		}
		t.tell(day)
		a = append(a, t.bought)
	}
	return a
}

// one returns true with a probability of 1/n.
func (t *teller) one(n int) bool { return t.IntN(n) == 0 }

func (t *teller) price() int {
	if t.plan == "max" {
		return 5000 * t.months
	}
	return 2000 * t.months
}

// tell adds up to four periods, perhaps a trial before them, and an end.
func (t *teller) tell(day int) {
	length, periods := 30, 1+t.IntN(4)
	if t.months > 1 {
		length, periods = 365, 1+t.IntN(2)
	}
	if t.one(4) {
		t.begin(day, 14, true)
		day += 14
		periods -= t.IntN(2)
	}
	for i := range periods {
		p := t.begin(day, length, false)
		paid := day
		if len(t.bought.Periods) > 1 && !p.isChange && !p.resume && t.one(5) {
			paid += 1 + t.IntN(12) // the first attempts have failed
		}
		t.pay(p, paid, t.price())
		if i < periods-1 {
			t.change(p, paid)
		}
		day = p.To
		if p.Resumed < never {
			day = max(day, p.Resumed)
		}
	}
	t.end(length)
}

func (t *teller) begin(day, length int, trial bool) *period {
	p := &period{From: day, To: day + length, Trial: trial, Plan: t.plan, Upgrade: never, Paused: never, Resumed: never}
	if n := len(t.bought.Periods); n > 0 {
		last := t.bought.Periods[n-1]
		p.isChange, p.resume = last.Plan != t.plan && last.Upgrade == never, last.To == last.Paused
	}
	t.bought.Periods = append(t.bought.Periods, p)
	return p
}

// change upgrades or pauses a subscription in a period that was paid on the given day.
func (t *teller) change(p *period, paid int) {
	day := paid + 1 + t.IntN(p.To-paid-1)
	upgrades, pauses := t.one(4) && t.plan == "pro", t.one(6)
	switch {
	case upgrades && t.billing.resets:
		p.To, t.plan = day, "max"
	case upgrades:
		p.Upgrade, t.plan = day, "max"
		t.pay(p, day, 1+3000*t.months*(p.To-day)/(p.To-p.From))
		for _, one := range p.Payments { // often both are refunded
			if one.Amount > 0 && len(one.Refunds)+len(one.Disputes) == 0 && !t.one(3) {
				t.refund(one, day+t.IntN(10), one.Amount, true)
			}
		}
	case pauses && t.billing.resets:
		p.Paused, p.Resumed = day, day+1+t.IntN(20)
		p.To += p.Resumed - p.Paused
	case pauses: // from the end of the period
		p.Paused, p.Resumed = p.To, p.To+1+t.IntN(20)
	}
}

// end ends the subscription in one of three ways: it is cancelled at once, it is cancelled at the
// end of the period, or its next payment fails. The event of the end may be days late.
func (t *teller) end(length int) {
	last := t.bought.Periods[len(t.bought.Periods)-1]
	from := last.From
	if len(last.Payments) > 0 {
		from = last.Payments[0].Day
	}
	day := from + 1 + t.IntN(last.To-from-1)
	switch t.IntN(3) {
	case 0:
		t.bought.Ends = day
	case 1:
		t.bought.Cancelled, t.bought.Ends = day, last.To+t.IntN(3)
	default:
		t.begin(last.To, length, false)
		t.bought.Ends = last.To + 1 + t.IntN(14)
	}
}

// pay adds a payment, with refunds or a dispute.
func (t *teller) pay(p *period, day, amount int) {
	if t.one(12) {
		amount = 0
	}
	one := &payment{Day: day, Amount: amount}
	p.Payments = append(p.Payments, one)
	switch next := day + t.IntN(50); {
	case amount == 0 || t.one(2):
	case t.one(4) && t.billing.disputes:
		one.Disputes = []dispute{{Day: next, Won: never, Lost: never}}
		if closed := next + 1 + t.IntN(40); t.one(2) {
			one.Disputes[0].Won = closed
		} else if t.one(2) {
			one.Disputes[0].Lost = closed
		}
	case t.one(2):
		t.refund(one, next, amount, true)
	default:
		t.refundPartly(one, next, amount)
	}
}

// refund adds a refund. It may fail later, and be tried again.
func (t *teller) refund(one *payment, day, amount int, whole bool) {
	r := refund{day, amount, whole, never}
	if t.one(5) {
		if r.Failed = day; !t.billing.failsAtOnce {
			r.Failed += 1 + t.IntN(15)
		}
	}
	one.Refunds = append(one.Refunds, r)
	if r.Failed < never && t.one(2) {
		t.refund(one, r.Failed+t.IntN(15), amount, whole)
	}
}

// refundPartly adds refunds that return a part or, in several steps, the whole.
func (t *teller) refundPartly(one *payment, day, amount int) {
	for rest := amount; rest > 0; day += t.IntN(8) {
		part := 1 + t.IntN(rest)
		if t.one(3) {
			part = rest
		}
		if part == amount {
			part = amount / 2
		}
		t.refund(one, day, part, false)
		if rest -= part; t.one(4) {
			return
		}
	}
}
