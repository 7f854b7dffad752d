package plans_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"testing"
)

// buy returns a purchase of a plan for months of 30 days, one for each payment, from a day
// on.
func buy(plan string, from, ends int, payments ...*payment) *purchase {
	p := &purchase{Cancelled: never, Ends: ends}
	for i, paid := range payments {
		p.Periods = append(p.Periods, &period{
			From: from + 30*i, To: from + 30*(i+1), Plan: plan, Upgrade: never, Paused: never, Resumed: never, Payments: []*payment{paid},
		})
	}
	return p
}

// refundOn returns a refund of a payment. It is whole if the payment was not refunded
// before.
func refundOn(day, amount int, whole bool) refund {
	return refund{Day: day, Amount: amount, Whole: whole, Failed: never}
}

// The timelines of the documentation: E-03.
func TestTimelines(t *testing.T) {
	t.Parallel()
	for _, story := range []struct {
		name     string
		bought   account
		disputed bool
		want     map[int]string // by the day
	}{
		{
			name: "an upgrade by a new purchase",
			bought: account{
				buy("pro", 0, 11, &payment{Day: 0, Amount: 1000, Refunds: []refund{refundOn(10, 1000, true)}}),
				buy("max", 9, 500, &payment{Day: 9, Amount: 5000}),
			},
			want: map[int]string{0: "pro", 8: "pro", 9: "max", 10: "max", 11: "max", 38: "max"},
		},
		{
			name: "a duplicate purchase, and refunds in part",
			bought: account{
				buy("max", 0, 500,
					&payment{Day: 0, Amount: 5000, Refunds: []refund{refundOn(2, 2000, false), refundOn(3, 3000, false)}},
					&payment{Day: 30, Amount: 5000}),
				buy("max", 0, 30, &payment{Day: 0, Amount: 5000, Refunds: []refund{refundOn(1, 5000, true)}}),
			},
			want: map[int]string{0: "max", 1: "max", 2: "max", 3: "", 29: "", 30: "max", 59: "max"},
		},
		{
			name: "a dispute",
			bought: account{buy("max", 0, 500,
				&payment{Day: 0, Amount: 5000, Disputes: []dispute{{Day: 34, Won: never, Lost: never}}},
				&payment{Day: 30, Amount: 5000, Disputes: []dispute{{Day: 35, Won: 49, Lost: never}}})},
			disputed: true,
			want:     map[int]string{0: "max", 30: "max", 34: "max", 35: "", 48: "", 49: "max", 59: "max"},
		},
	} {
		for _, b := range billings {
			if story.disputed && !b.disputes {
				continue
			}
			t.Run(story.name+"/"+b.name, func(t *testing.T) {
				t.Parallel()
				for seed := range uint64(8) { // one of four is in Stripe's old form
					checkTimeline(t, b, story.bought, seed, story.want)
				}
			})
		}
	}
}

// checkTimeline delivers the events of each day in random order, and then compares the plan.
func checkTimeline(t *testing.T, b billing, bought account, seed uint64, want map[int]string) {
	t.Helper()
	b.name += t.Name() // of the database in memory
	r := newReplay(t, b, databases[0])
	r.seed, r.random = seed, rand.New(rand.NewPCG(seed, 0))
	owner := fmt.Sprint("ann_", seed)
	all := b.events(bought, owner, seed)
	for day := range 60 {
		var events []event
		for _, e := range all {
			if e.day == day {
				events = append(events, e)
			}
		}
		if len(events) > 0 {
			r.deliver(r.shuffled(nil, events))
		}
		if plan, ok := want[day]; ok {
			if got := bought.due(day); got != plan {
				t.Errorf("day %d: the model says %q, want %q", day, got, plan)
			}
			r.check(bought, owner, day, day+1)
		}
	}
}

// The timeline of a transfer in the documentation: E-02.
func TestTransfer(t *testing.T) {
	forEachStory(t, func(s *story) {
		one := sale{id: "sub_1", owner: "alice", product: "product_max"}
		s.sell(one)
		s.checkPlan("alice", "max")
		s.checkPlan("bob", "")
		one.owner = "bob"
		s.send(later(s.sender.event(one)), http.StatusUnprocessableEntity)
		s.checkPlan("alice", "max")
		s.checkPlan("bob", "")
		if rejected, err := s.plans.Rejected(s.t.Context(), 0); err != nil || len(rejected) != 1 {
			s.t.Errorf("got %+v, %v, want the event kept", rejected, err)
		}
		there := s.newManager()
		if _, err := there.Validate(s.t.Context(), s.tokens["alice"]); err != nil {
			s.t.Error(err)
		}
		if err := s.hooks.Transfer(s.t.Context(), "sub_1", "bob"); err != nil {
			s.t.Fatal(err)
		}
		s.checkPlan("alice", "")
		s.checkPlan("bob", "max")
		for _, owner := range []string{"bob", "alice"} {
			one.owner = owner
			s.send(later(s.sender.event(one)), http.StatusOK)
			s.checkPlan("alice", "")
			s.checkPlan("bob", "max")
		}
	})
}

// later moves an event of Stripe to the next second. Stripe's times are whole seconds, so an
// event of the same second as the stored one could count as the older one.
func later(event object) object {
	if at, ok := event["created"].(int64); ok {
		event["created"] = at + 1
	}
	return event
}

// E-02: sources of the owner that contradict each other are rejected, and kept.
func TestContradictingOwners(t *testing.T) {
	forEachStory(t, func(s *story) {
		event := s.sender.event(sale{id: "sub_1", owner: "bob", product: "product_max"})
		if s.sender.name == "Stripe" { // has no second source
			return
		}
		customer := event["data"].(object)["customer"].(object)
		customer["metadata"] = object{"owner": "alice"}
		s.send(event, http.StatusUnprocessableEntity)
		s.checkPlan("alice", "")
		s.checkPlan("bob", "")
		if s.sender.name == "Polar" {
			customer["metadata"], customer["external_id"] = object{}, "alice"
			s.send(event, http.StatusUnprocessableEntity)
			s.checkPlan("bob", "")
		}
		customer["metadata"], customer["external_id"] = object{"owner": "bob"}, "bob"
		s.send(event, http.StatusOK)
		s.checkPlan("bob", "max")
	})
}
