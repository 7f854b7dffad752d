package webhook_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/keyhatch/keyhatch/entitlement"
	"github.com/keyhatch/keyhatch/entitlement/webhook"
	"github.com/keyhatch/keyhatch/internal/testkit"
)

var update = flag.Bool("update", false, "rewrite testdata/*/*.golden")

var storySystems = []storySystem{
	{stripe, webhook.Stripe(secret), 23},
	{polar, webhook.Polar("0b0e1c3a-6f5d-4f0a-9a51-0c2d7e5f0001", secret), 16},
	{dodo, webhook.Dodo("bus_1", secret), 15},
}

var storyProducts = map[string]string{
	"price_basic": "pro", "price_team": "team",
	"7d1f3b52-2c0e-4f43-8f0e-5a0f3c8e1a02": "pro", "7d1f3b52-2c0e-4f43-8f0e-5a0f3c8e1a01": "team",
	"pdt_basic": "pro", "pdt_team": "team",
}

// E-03: what each event of a billing system reports. A story has the events of one customer
// in the order of sending, one a line. The golden file has a line for each: its type and
// what it reports. Run with -update to rewrite it, and review the difference.
func TestStories(t *testing.T) {
	t.Parallel()
	for _, s := range storySystems {
		for file, bodies := range s.readStories(t) {
			h, st := s.storyHandler(t, s.source)
			var lines []string
			for i, body := range bodies {
				lines = append(lines, s.tell(h, st, fmt.Sprint("msg_", i), body))
			}
			checkGolden(t, strings.TrimSuffix(file, "jsonl")+"golden", strings.Join(lines, ""))
		}
	}
}

// E-03: what the customer of each story has in the end. The events arrive in any order, and
// repeatedly.
func TestAccessAfterStories(t *testing.T) {
	t.Parallel()
	plans := map[string]struct{ at, plan string }{ // "" for none
		"purchase":             {"2026-09-20T00:00:00Z", "team"},
		"renewal":              {"2026-10-20T00:00:00Z", "team"},
		"upgrade":              {"2026-09-20T00:00:00Z", "team"},
		"downgrade":            {"2026-10-05T00:00:00Z", "pro"},
		"cancel_now":           {"2026-09-20T00:00:00Z", ""},
		"cancel_at_period_end": {"2026-10-01T10:00:03Z", ""},
		"pause":                {"2026-11-05T00:00:00Z", "team"},
		"past_due":             {"2026-10-20T00:00:00Z", "team"},
		"refund_full":          {"2026-09-20T00:00:00Z", ""},
		"refund_partial":       {"2026-09-20T00:00:00Z", ""}, // a quarter, and then the rest
		"dispute_won":          {"2026-09-25T00:00:00Z", "team"},
		"dispute_lost":         {"2026-09-25T00:00:00Z", ""},
		"dispute_prevented":    {"2026-09-25T00:00:00Z", ""},
		"trial":                {"2026-10-01T00:00:00Z", "team"},
		"duplicate_purchase":   {"2026-09-20T00:00:00Z", "team"}, // the second one was refunded
	}
	for _, s := range storySystems {
		for file, bodies := range s.readStories(t) {
			name, _, _ := strings.Cut(filepath.Base(file), ".")
			want, ok := plans[name]
			if s.name == "polar" && name == "dispute_won" {
				want.plan = "" // Polar revokes the subscription all the same
			}
			if !ok && name != "transfer" {
				t.Errorf("%s has no row in the table", file)
			}
			for round := 0; ok && round < testkit.Scale(2, 200); round++ {
				h, st := s.storyHandler(t, s.source)
				queue := rand.Perm(2 * len(bodies))
				for _, i := range queue {
					i %= len(bodies)
					if got := s.deliver(h, fmt.Sprint("msg_", i), bodies[i]); got != 200 {
						t.Errorf("%s: line %d: got %d, want 200: %v", file, i+1, got, st.rejected)
					}
				}
				if got := st.planAt(t, "alice", want.at); got != want.plan {
					t.Fatalf("%s: in the order %v: got plan %q, want %q", file, queue, got, want.plan)
				}
			}
		}
	}
}

// A storySystem is a billing system with the accounts of its stories.
type storySystem struct {
	system
	source  webhook.Source
	stories int // how many files it has
}

// readStories returns the bodies of each story by its file.
func (s storySystem) readStories(t *testing.T) map[string][][]byte {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("testdata", s.name, "*.jsonl"))
	if err != nil || len(files) != s.stories {
		t.Fatalf("%s: got %d stories and %v, want %d", s.name, len(files), err, s.stories)
	}
	stories := map[string][][]byte{}
	for _, file := range files {
		if stories[file] = readLines(t, file); len(stories[file]) < 3 {
			t.Fatalf("%s has only %d events", file, len(stories[file]))
		}
	}
	return stories
}

// readLines returns the lines of a file.
func readLines(t *testing.T, file string) [][]byte {
	t.Helper()
	all, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return bytes.Split(bytes.TrimSpace(all), []byte("\n"))
}

func (s system) storyHandler(t *testing.T, source webhook.Source) (*webhook.Handler, *memStore) {
	t.Helper()
	st := newStore()
	h, err := webhook.New(st, source, catalog, storyProducts, nil)
	if err != nil {
		t.Fatal(err)
	}
	return h, st
}

// tell delivers an event and returns the line about it.
func (s system) tell(h *webhook.Handler, st *memStore, id string, body []byte) string {
	st.reports, st.rejected = nil, map[string]rejection{}
	status := s.deliver(h, id, body)
	var event struct{ Type string }
	if err := json.Unmarshal(body, &event); err != nil {
		return err.Error()
	}
	line := fmt.Sprint(event.Type, ": ", status)
	for _, r := range st.reports {
		line += describe(r)
	}
	for _, r := range st.rejected {
		line += " rejected: " + r.reason
	}
	return line + "\n"
}

// describe returns all that a report says, except the Version within its stage.
func describe(r entitlement.Report) string {
	var b strings.Builder
	if s := r.Subscription; s != nil {
		fmt.Fprintf(&b, " subscription %s of %s%q, customer %s: %s %s, began %s, period %s to %s%s, updated %s, stage %d",
			s.ID, s.Owner, r.Owners, s.Customer, s.Status, s.Plan, short(s.StartedAt), short(s.PeriodStart), short(s.PeriodEnd), map[bool]string{true: " the last"}[s.CancelAtPeriodEnd], short(s.UpdatedAt), s.Version>>48)
	}
	if p := r.Payment; p != nil {
		fmt.Fprintf(&b, " payment %s for %s: %d %s, %s to %s, updated %s, stage %d",
			p.ID, p.Subscription, p.Amount, p.Currency, short(p.PeriodStart), short(p.PeriodEnd), short(p.UpdatedAt), p.Version>>48)
	}
	if c := r.Charge; c != nil {
		fmt.Fprintf(&b, " charge %s of %s, updated %s", c.ID, c.Payment, short(c.UpdatedAt))
	}
	if v := r.Reversal; v != nil {
		fmt.Fprintf(&b, " %s %s of %s%s: whole %t, %d %s, released %t, updated %s, stage %d",
			v.Kind, v.ID, v.Charge, v.Payment, v.Whole, v.Amount, v.Currency, v.Released, short(v.UpdatedAt), v.Version>>48)
	}
	return b.String()
}

// short returns a time without the year, or "-".
func short(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.Format("01-02T15:04:05.999999")
}

func checkGolden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s: got\n%swant\n%s", file, got, want)
	}
}
