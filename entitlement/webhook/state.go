package webhook

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/keyhatch/keyhatch/entitlement"
)

// A state is the state of something in an event, with the sender's IDs of what
// was bought.
type state struct {
	id     string
	status entitlement.Status
	stage  stage
	since  time.Time
	paid   time.Time // when the paid period began
	until  time.Time

	// items are the known IDs of each thing that was bought.
	items [][]string

	ignored bool // the event changes nothing, such as a partial refund
}

// A stage orders events of the same instant: the one with the higher stage
// counts.
type stage int64

const (
	incomplete stage = 1 + iota
	trialing
	active
	pastDue
	ended
	deleted
)

// stages maps a status to its stage, if only the status is known.
var stages = map[entitlement.Status]stage{
	entitlement.Active: active, entitlement.PastDue: pastDue, entitlement.Held: pastDue, entitlement.Ended: ended,
}

// version orders events of the same instant: by the stage, and then by a hash
// of the event's ID, which is arbitrary but the same on every instance.
func version(s stage, event string) int64 {
	hash := sha256.Sum256([]byte(event))
	return int64(s)<<48 | int64(binary.BigEndian.Uint64(hash[:])>>16)
}

// over returns a state that grants nothing.
func over(s stage, at time.Time) state {
	return state{status: entitlement.Ended, stage: s, until: at}
}

// held returns a hold, which takes access away until it has ended.
func held(id string, since time.Time) state {
	return state{id: id, status: entitlement.Held, stage: pastDue, since: since}
}

// leeway extends a period that will be renewed. The event of the renewal
// arrives after the period, usually within seconds, but later if it had to be
// sent again.
const leeway = time.Hour

// paidFor returns a paid period. If stops is true, or at the instant stop if
// that is set, the subscription is not renewed. A period that is not renewed
// needs no leeway.
func paidFor(at stage, from, to time.Time, stops bool, stop time.Time) state {
	if !stops {
		to = to.Add(leeway)
	}
	if at == trialing {
		from = time.Time{} // nothing was paid
	}
	return state{status: entitlement.Active, stage: at, paid: from, until: earliest(to, stop)}
}

// paidWith is how long after a payment the paid period may begin, by the
// sender's own clocks. The next period begins much later.
const paidWith = time.Hour

// paidBack returns a hold on the period that a payment paid for, and on earlier
// ones.
func paidBack(e Event, paid time.Time) state {
	s := held("refund:"+e.Payment, e.At)
	s.paid = earliest(e.At, paid.Add(paidWith))
	return s
}

// unknown reports a status that this version does not know.
func unknown(d fields, name string) state {
	d.fail(name, "a known status")
	return state{}
}

// earliest returns the first of the times that are not zero.
func earliest(times ...time.Time) (first time.Time) {
	for _, t := range times {
		if first.IsZero() || !t.IsZero() && t.Before(first) {
			first = t
		}
	}
	return first
}

// subscription returns the state as a Subscription of the host's plan.
func (p products) subscription(e Event, s state) (entitlement.Subscription, error) {
	sub := entitlement.Subscription{
		ID: s.id, Status: s.status, StartedAt: s.since, PeriodStart: s.paid, PeriodEnd: s.until,
		UpdatedAt: e.At, Version: version(s.stage, e.ID),
	}
	plan, err := p.of(s.items)
	granted := s.status == entitlement.Active || s.status == entitlement.PastDue
	switch {
	case err != nil && granted:
		return sub, &refusal{err}
	case err != nil: // a state that grants nothing needs no plan, and its product may have none any more
	case s.status == entitlement.Held && len(s.items) > 0 && plan == "":
		return sub, ErrIgnore
	case granted && plan == "":
		sub.Status = entitlement.Ended
	case s.status != entitlement.Held:
		sub.Plan = plan
	}
	return sub, nil
}

// products maps the ID of a product or price to a plan.
type products map[string]string

// of returns the plan of the items. It returns "" if all items are known to
// have none.
func (p products) of(items [][]string) (plan string, err error) {
	for _, ids := range items {
		one, ok := p.find(ids)
		switch {
		case !ok:
			return "", fmt.Errorf("no plan is configured for any of %q", ids)
		case plan != "" && one != "" && one != plan:
			return "", fmt.Errorf("the items have two plans, %q and %q", plan, one)
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
