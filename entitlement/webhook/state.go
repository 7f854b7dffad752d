package webhook

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/keyhatch/keyhatch/entitlement"
)

// A state is what an event says that something is now, with the sender's names
// for what was bought.
type state struct {
	id     string
	status entitlement.Status
	stage  stage
	since  time.Time
	paid   time.Time // when the period began that was paid for
	until  time.Time

	// items are the ids of each thing that was bought, as far as they are
	// known.
	items [][]string

	ignored bool // it makes no difference, such as a partial refund
}

// A stage is how far along something is. Of two events in the same instant the
// one that is further counts.
type stage int64

const (
	incomplete stage = 1 + iota
	trialing
	active
	pastDue
	ended
	deleted
)

// stages are where states of which only the status is known are.
var stages = map[entitlement.Status]stage{
	entitlement.Active: active, entitlement.PastDue: pastDue, entitlement.Held: pastDue, entitlement.Ended: ended,
}

// version orders what has the same time: by the stage, and then by a hash of the
// event's id, which says nothing but is the same for everyone.
func version(s stage, event string) int64 {
	hash := sha256.Sum256([]byte(event))
	return int64(s)<<48 | int64(binary.BigEndian.Uint64(hash[:])>>16)
}

// over is a state that grants nothing.
func over(s stage, at time.Time) state {
	return state{status: entitlement.Ended, stage: s, until: at}
}

// held is what takes access away until it is over.
func held(id string, since time.Time) state {
	return state{id: id, status: entitlement.Held, stage: pastDue, since: since}
}

// leeway is how much longer than its period goes what is to be renewed, since
// that is told only after it: seconds after it as a rule, or after a few tries.
const leeway = time.Hour

// paidFor is what was paid for a period, and stops at an instant if that is set:
// it is not renewed then, and needs no leeway.
func paidFor(at stage, from, to time.Time, stops bool, stop time.Time) state {
	if !stops {
		to = to.Add(leeway)
	}
	if at == trialing {
		from = time.Time{} // nothing was paid
	}
	return state{status: entitlement.Active, stage: at, paid: from, until: earliest(to, stop)}
}

// paidWith is how long after a payment a period can begin that it pays for, by
// the sender's own clocks. The next one begins later, by far.
const paidWith = time.Hour

// paidBack is a hold on what a payment paid for, and on what was paid before.
func paidBack(e Event, paid time.Time) state {
	s := held("refund:"+e.Payment, e.At)
	s.paid = earliest(e.At, paid.Add(paidWith))
	return s
}

// unknown is for a state that was not there when this was written.
func unknown(d fields, name string) state {
	d.fail(name, "a state that is known")
	return state{}
}

// earliest is the first of the times that are not zero.
func earliest(times ...time.Time) (first time.Time) {
	for _, t := range times {
		if first.IsZero() || !t.IsZero() && t.Before(first) {
			first = t
		}
	}
	return first
}

// subscription is the state with the host's names.
func (p products) subscription(e Event, s state) (entitlement.Subscription, error) {
	sub := entitlement.Subscription{
		ID: s.id, Status: s.status, Since: s.since, PaidFrom: s.paid, ValidUntil: s.until,
		UpdatedAt: e.At, Version: version(s.stage, e.ID),
	}
	plan, err := p.of(s.items)
	granted := s.status == entitlement.Active || s.status == entitlement.PastDue
	switch {
	case err != nil && granted:
		return sub, &refusal{err}
	case err != nil: // what takes away needs no plan, and the product may be in none any more
	case s.status == entitlement.Held && len(s.items) > 0 && plan == "":
		return sub, ErrIgnore
	case granted && plan == "":
		sub.Status = entitlement.Ended
	case s.status != entitlement.Held:
		sub.Plan = plan
	}
	return sub, nil
}

// products say which plan each product or price is in.
type products map[string]string

// of returns the plan that is bought with the items, which is none where all are
// known not to be in one.
func (p products) of(items [][]string) (plan string, err error) {
	for _, ids := range items {
		one, ok := p.find(ids)
		switch {
		case !ok:
			return "", fmt.Errorf("no plan is given for any of %q", ids)
		case plan != "" && one != "" && one != plan:
			return "", fmt.Errorf("it has two plans, %q and %q", plan, one)
		case one != "":
			plan = one
		}
	}
	return plan, nil
}

func (p products) find(ids []string) (plan string, ok bool) {
	for _, id := range ids {
		if plan, ok = p[id]; ok {
			return plan, true
		}
	}
	return "", false
}
