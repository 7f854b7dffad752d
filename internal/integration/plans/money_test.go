package plans_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/keyhatch/keyhatch/entitlement"
	"github.com/keyhatch/keyhatch/entitlement/sqlprovider"
	"github.com/keyhatch/keyhatch/entitlement/webhook"
	"github.com/keyhatch/keyhatch/internal/testkit"
)

// An account has the purchases of one owner. Its times are days, counted from the first one.
type account []*purchase

// A purchase is one subscription.
type purchase struct {
	Anonymous bool // its events name only the customer, and not the owner
	Periods   []*period
	Cancelled int // the day of a cancellation at the end of the period, or never
	Ends      int // the day of the event that it has ended
}

// A period is a month or a year that is to be paid, or a trial.
type period struct {
	From, To         int // To is the day after the last one
	Trial            bool
	Plan             string
	Upgrade          int // the day from which the plan is "max", or never
	Paused, Resumed  int // the days of a pause, or never
	Payments         []*payment
	isChange, resume bool // how it began: by an upgrade, or after a pause
}

// A payment is for its period. One of zero, after a discount of 100 %, pays for nothing.
type payment struct {
	Day, Amount int
	Refunds     []refund
	Disputes    []dispute
}

type refund struct {
	Day, Amount int
	Whole       bool // it is of the whole payment
	Failed      int  // the day on which it fails, or never
}

type dispute struct{ Day, Won, Lost int }

const never = 1 << 30

// String returns the story in JSON.
func (a account) String() string {
	text, err := json.Marshal([]*purchase(a))
	if err != nil {
		panic(err)
	}
	return strings.ReplaceAll(string(text), strconv.Itoa(never), `"never"`)
}

var (
	rank  = map[string]int{"pro": 1, "max": 2}
	grace = map[string]int{"pro": 3, "max": 10} // days
)

// due is the model: the plan that is due from noon of a day until the next morning, or "".
// It uses what has happened until then. A paid plan counts before a trial, and a better
// plan before a lesser one.
func (a account) due(day int) (plan string) {
	best := 0
	for _, bought := range a {
		one, paid := bought.due(day)
		if worth := rank[one] + 10*count(paid); worth > best {
			plan, best = one, worth
		}
	}
	return plan
}

// due looks at the last period that was paid, or that is a trial. It continues for the
// grace of its plan, unless the subscription was cancelled. After that, or if its money was
// returned, nothing is due.
func (b *purchase) due(day int) (plan string, paid bool) {
	for _, p := range slices.Backward(b.Periods) {
		if day < p.From || !p.Trial && !p.isPaid(day) {
			continue
		}
		if plan = p.Plan; day >= p.Upgrade {
			plan = "max"
		}
		if day >= b.Ends || day >= p.To+b.grace(day, plan) || p.Paused <= day && day < p.Resumed || p.isReturned(day) {
			return "", false
		}
		return plan, !p.Trial
	}
	return "", false
}

// grace is for a renewal that is late or has failed.
func (b *purchase) grace(day int, plan string) int {
	if b.Cancelled <= day {
		return 0
	}
	return grace[plan]
}

func (p *period) isPaid(day int) bool { return len(p.Payments) > 0 && p.Payments[0].Day <= day }

// isReturned reports whether all payments were refunded in full, or one is disputed.
func (p *period) isReturned(day int) bool {
	paid, kept := 0, 0
	for _, one := range p.Payments {
		if one.Day > day || one.Amount == 0 {
			continue
		}
		back := 0
		for _, r := range one.Refunds {
			back += r.Amount * count(r.Day <= day && day < r.Failed)
		}
		for _, d := range one.Disputes {
			if d.Day <= day && day < d.Won {
				return true
			}
		}
		paid, kept = paid+1, kept+count(back < one.Amount)
	}
	return paid > 0 && kept == 0
}

func count(b bool) int {
	if b {
		return 1
	}
	return 0
}

// moneyCatalog has the grace of the model.
func moneyCatalog(t *testing.T) *entitlement.Catalog {
	plans := map[string]entitlement.Entitlement{}
	for plan := range rank {
		plans[plan] = entitlement.Entitlement{APIAccess: true, Rank: rank[plan], Grace: time.Duration(grace[plan]) * 24 * time.Hour}
	}
	c, err := entitlement.NewCatalog(plans)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// E-01, E-03: after the events of a random story, in any order and repeated, an owner has
// what the model says, on every day. KEYHATCH_SEED selects one story, or several such as
// 100-200.
func TestMoney(t *testing.T) {
	t.Parallel()
	seeds := chooseStories(t)
	for _, b := range billings {
		for i, d := range databases {
			t.Run(b.name+"/"+d.name, func(t *testing.T) {
				t.Parallel()
				r := newReplay(t, b, d)
				for _, seed := range seeds {
					if r.seed = seed; databaseOf(seed) == i && !r.run() {
						break
					}
				}
				t.Logf("%d stories, %d deliveries, %d days compared", r.stories, r.deliveries, r.days)
				if rejected, err := r.plans.Rejected(t.Context(), 0); err != nil || len(rejected) > 0 {
					t.Errorf("got %v, %v, want every rejected event to be used later", rejected, err)
				}
			})
		}
	}
}

// chooseStories returns the seeds that KEYHATCH_SEED selects, or else all.
func chooseStories(t *testing.T) (seeds []uint64) {
	text, first, last := os.Getenv("KEYHATCH_SEED"), uint64(0), uint64(testkit.Scale(49, 9_999))
	switch {
	case text != "":
		n, _ := fmt.Sscanf(text, "%d-%d", &first, &last)
		if n == 1 {
			last = first
		}
		if n == 0 || last < first {
			t.Fatalf("KEYHATCH_SEED: got %q, want a seed, or several such as 100-200", text)
		}
	case testkit.Race: // which makes a story take seconds
		last = 8
	}
	for seed := first; seed <= last; seed++ {
		seeds = append(seeds, seed)
	}
	return seeds
}

// databaseOf returns the database of a story: SQLite for most, since it is fast.
func databaseOf(seed uint64) int {
	return map[uint64]int{7: 1, 17: 2, 27: 1, 37: 2, 47: 1, 57: 2}[seed%100]
}

// A replay tells stories to a handler.
type replay struct {
	t       *testing.T
	billing billing
	plans   *sqlprovider.Provider
	catalog *entitlement.Catalog
	hooks   http.Handler
	seed    uint64
	random  *rand.Rand

	stories, deliveries, days int
}

func newReplay(t *testing.T, b billing, d database) *replay {
	if d.name == "SQLite" { // in memory, for speed
		d.dsn = func(testing.TB) string { return "file:money_" + b.name + "?mode=memory&cache=shared" }
	}
	r := &replay{t: t, billing: b, catalog: moneyCatalog(t)}
	r.plans, _ = d.start(t)
	var err error
	r.hooks, err = webhook.New(r.plans, b.source("whsec_"+secretText), r.catalog, map[string]string{"product_pro": "pro", "product_max": "max"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// run tells a story to one owner day by day, and then its first days to another owner all
// at once. It reports whether the model agrees.
func (r *replay) run() bool {
	if r.stories++; r.stories%500 == 0 {
		r.t.Logf("%d stories", r.stories)
	}
	r.random = rand.New(rand.NewPCG(r.seed, 0))
	story := newAccount(r.random, r.billing)
	owner := fmt.Sprint("a", r.seed)
	all := r.billing.events(story, owner, r.seed)
	for i := 0; i < len(all); {
		day, next, until := all[i].day, len(all), all[i].day+15
		if n := slices.IndexFunc(all[i:], func(e event) bool { return e.day > day }); n > 0 {
			next, until = i+n, all[i+n].day
		}
		r.deliver(r.shuffled(all[:i], all[i:next]))
		if !r.check(story, owner, day, until) {
			return false
		}
		i = next
	}
	owner = fmt.Sprint("b", r.seed)
	day := r.random.IntN(all[len(all)-1].day + 1)
	again := slices.DeleteFunc(r.billing.events(story, owner, r.seed), func(e event) bool { return e.day > day })
	r.deliver(r.shuffled(nil, again))
	return r.check(story, owner, day, day+1)
}

// shuffled returns the events in a random order, some of them repeated, and some of the
// older ones.
func (r *replay) shuffled(old, events []event) []event {
	all := slices.Clone(events)
	for range r.random.IntN(1 + len(events)/2) {
		all = append(all, events[r.random.IntN(len(events))])
	}
	for range min(len(old), r.random.IntN(3)) {
		all = append(all, old[r.random.IntN(len(old))])
	}
	r.random.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return all
}

// deliver sends the events. It sends those that fail again after the others, as a billing
// system does.
func (r *replay) deliver(events []event) {
	for len(events) > 0 {
		var failed []event
		for _, e := range events {
			if status := r.post(e); status != http.StatusOK {
				failed = append(failed, e)
			}
		}
		if len(failed) == len(events) {
			r.t.Fatalf("%s: KEYHATCH_SEED=%d: the events fail:\n%s", r.billing.name, r.seed, failed[0].body)
		}
		events = failed
	}
}

func (r *replay) post(e event) int {
	r.deliveries++
	request := httptest.NewRequest(http.MethodPost, "/", bytes.NewReader(e.body))
	r.billing.sign(request.Header, e.id, e.body)
	w := httptest.NewRecorder()
	r.hooks.ServeHTTP(w, request)
	return w.Code
}

// check compares what the owner has with the model, at noon of each day and in the next
// morning.
func (r *replay) check(story account, owner string, from, until int) bool {
	bought := purchases(r.t, r.plans, owner)
	for day := from; day < until; day++ {
		r.days++
		if !r.checkPeriodEnd(story, bought, day) {
			return false
		}
		for _, when := range []time.Time{dayAt(day).Add(2 * time.Hour), dayAt(day + 1).Add(-time.Second)} {
			got, err := r.planAt(bought, when)
			if want := story.due(day); got != want || err != nil {
				r.t.Errorf("%s: KEYHATCH_SEED=%d: owner %s has plan %q on day %d, at %v, %v; want %q\nstory: %s\nstored: %+v",
					r.billing.name, r.seed, owner, got, day, when, err, want, story, bought)
				return false
			}
		}
	}
	return true
}

// checkPeriodEnd compares the paid period's end, which the owner sees, with the periods of
// the story. After that end, the webhooks of Dodo do not tell it exactly.
func (r *replay) checkPeriodEnd(story account, bought entitlement.Purchases, day int) bool {
	when := dayAt(day).Add(2 * time.Hour)
	e, err := r.catalog.Resolve(bought, when)
	if err != nil || !e.APIAccess || e.ValidUntil.Before(when) {
		return true
	}
	for _, b := range story {
		for _, p := range b.Periods {
			// While a subscription at Dodo is paused, its period is not yet longer.
			paused := dayAt(p.To - count(p.Paused < p.To)*(p.Resumed-p.Paused))
			if dayAt(p.To).Equal(e.ValidUntil) || paused.Equal(e.ValidUntil) {
				return true
			}
		}
	}
	r.t.Errorf("%s: KEYHATCH_SEED=%d: on day %d, the plan is valid until %v, want the end of a period\nstory: %s", r.billing.name, r.seed, day, e.ValidUntil, story)
	return false
}

func (r *replay) planAt(bought entitlement.Purchases, when time.Time) (string, error) {
	e, err := r.catalog.Resolve(bought, when)
	if errors.Is(err, entitlement.ErrNone) {
		err = nil
	}
	if !e.APIAccess {
		return "", err
	}
	return e.Plan, err
}

// dayAt returns the time of a day at which periods begin and end: 10:00. The days are in
// the future, since Purchases leaves out payments of long ago.
func dayAt(day int) time.Time { return time.Date(2100, 1, 1+day, 10, 0, 0, 0, time.UTC) }
