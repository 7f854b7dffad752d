package webhook_test

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"testing"

	"github.com/keyhatch/keyhatch/internal/testkit"
)

// A delivery is an event that may arrive at any time, any number of times.
type delivery struct {
	id   string
	body []byte
}

// newHistory returns a long sequence of events, many of them in the same second.
func newHistory(t *testing.T, s system) (all []delivery) {
	names := []string{"purchase", "renewal", "plan_change", "cancel_at_period_end", "past_due", "cancel", "refund", "second_purchase", "partial_refund", "unknown_type"}
	names = append(names, s.payment()...)
	if s.name != "polar" {
		names = append(names, "dispute", "dispute_won")
	}
	for _, name := range names {
		all = append(all, delivery{name, loadPayload(t, s, name)})
	}
	// Several events of the last instant have different plans.
	plans := map[string][2]string{
		"stripe": {"prod_QteamExample", "price_1Qpro0KhExample"},
		"polar":  {"a1d0c6f2-0000-4000-8000-000000000002", "a1d0c6f2-0000-4000-8000-000000000001"},
		"dodo":   {"pdt_KhExampleTeam", "pdt_KhExamplePro"},
	}
	for i := range 6 {
		body := loadPayload(t, s, "second_purchase")
		if s.name == "stripe" {
			body = edit(t, body, "evt_1QkhExample0018", fmt.Sprintf("evt_1QkhExample1%03d", i))
		}
		if i%2 == 0 {
			body = edit(t, body, plans[s.name][0], plans[s.name][1])
		}
		all = append(all, delivery{fmt.Sprint("again", i), body})
	}
	return all
}

// E-03: the stored states do not depend on the order of events or on repetitions.
func TestAnyOrderConverges(t *testing.T) {
	t.Parallel()
	rounds := testkit.Scale(60, 1_000)
	for _, s := range systems {
		all := newHistory(t, s)
		var want map[rowID]any
		for round := range rounds {
			st := newStore()
			h := s.handler(t, st, withOwner())
			queue := append(all[:len(all):len(all)], all...)
			if round > 0 {
				rand.Shuffle(len(queue), func(i, j int) { queue[i], queue[j] = queue[j], queue[i] })
			}
			for _, d := range queue {
				if got := s.deliver(h, d.id, d.body); got != 200 {
					t.Fatalf("%s: %s: got %d, want 200", s.name, d.id, got)
				}
			}
			if want == nil {
				want = st.rows
			} else if !maps.Equal(st.rows, want) {
				t.Fatalf("%s: round %d: got  %v\nwant %v", s.name, round, st.rows, want)
			}
		}
		if len(want) < 5 {
			t.Errorf("%s: rows of the history: got %d: %v", s.name, len(want), want)
		}
	}
}

// Of two events in the same second, the one with the higher stage counts.
func TestStagesInOneSecond(t *testing.T) {
	t.Parallel()
	order := []string{"incomplete", "trial", "purchase", "past_due", "unpaid", "cancel"}
	for i, first := range order {
		for _, second := range order[i+1:] {
			for _, swap := range []bool{false, true} {
				st := newStore()
				h := stripe.handler(t, st, nil)
				pair := []string{first, second}
				if swap {
					pair[0], pair[1] = second, first
				}
				for _, name := range pair {
					if got := stripe.deliver(h, "", sameSecond(t, name)); got != 200 {
						t.Fatalf("%s: got %d", name, got)
					}
				}
				got := st.onlyRow(t)
				alone := newStore()
				stripe.deliver(stripe.handler(t, alone, nil), "", sameSecond(t, second))
				if want := alone.onlyRow(t); got != want {
					t.Errorf("%v: got %+v, want %s", pair, got, second)
				}
			}
		}
	}
}

// sameSecond returns the event as if it had happened when the subscription began.
func sameSecond(t *testing.T, name string) []byte {
	t.Helper()
	body := loadPayload(t, stripe, name)
	for _, created := range []string{"1775037602", "1775041261", "1776852000", "1776153600"} {
		if old := `"created": ` + created + ",\n  \"data\""; bytes.Contains(body, []byte(old)) {
			return edit(t, body, old, `"created": 1772359200,`+"\n  \"data\"")
		}
	}
	return body
}
