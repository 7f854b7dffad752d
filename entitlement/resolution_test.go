package entitlement_test

import (
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/keyhatch/keyhatch/entitlement"
)

var begin = time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)

const day = 24 * time.Hour

// newSub returns a subscription that began and was paid until the given days after
// begin.
func newSub(id, plan string, status entitlement.Status, since, until int) entitlement.Subscription {
	return entitlement.Subscription{
		Owner: "ann", ID: id, Plan: plan, Status: status,
		StartedAt: begin.Add(time.Duration(since) * day), PeriodEnd: begin.Add(time.Duration(until) * day),
	}
}

// newHold returns a hold that began the given days after begin.
func newHold(id string, since int) entitlement.Hold {
	return entitlement.Hold{Owner: "ann", ID: id, StartedAt: begin.Add(time.Duration(since) * day)}
}

// changed returns v after f has changed it.
func changed[T any](v T, f func(*T)) T {
	f(&v)
	return v
}

func setEndless(s *entitlement.Subscription) { s.PeriodEnd = time.Time{} }
func setNoStart(s *entitlement.Subscription) { s.StartedAt = time.Time{} }
func setUnknown(h *entitlement.Hold)         { h.StartedAt = time.Time{} }
func setReleased(h *entitlement.Hold)        { h.Released = true }
func setNewerHold(h *entitlement.Hold)       { h.UpdatedAt = begin }
func setBob(h *entitlement.Hold)             { h.Owner = "bob" }

// setHeldPeriod limits a hold to periods that began on the given day or earlier.
func setHeldPeriod(day int) func(*entitlement.Hold) {
	return func(h *entitlement.Hold) { h.PeriodStart = begin.Add(time.Duration(day) * 24 * time.Hour) }
}

// setRenewed sets the start of the last paid period to day 5.
func setRenewed(s *entitlement.Subscription) { s.PeriodStart = begin.Add(5 * day) }
func setNewer(s *entitlement.Subscription)   { s.UpdatedAt = begin }

// newCatalog returns a catalog in which the plan pro has a grace of two days.
func newCatalog(t testing.TB) *entitlement.Catalog {
	t.Helper()
	c, err := entitlement.NewCatalog(map[string]entitlement.Entitlement{
		"free": {MaxKeys: 1},
		"pro":  {APIAccess: true, Rank: 1, MaxKeys: 5, Grace: 2 * day},
		"team": {APIAccess: true, Rank: 2, MaxKeys: 50},
		"crew": {APIAccess: true, Rank: 2, MaxKeys: 40},
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

const (
	active   = entitlement.Active
	trialing = entitlement.Trialing
	pastDue  = entitlement.PastDue
	ended    = entitlement.Ended
)

var resolutions = []struct {
	name   string
	subs   []entitlement.Subscription
	holds  []entitlement.Hold
	o      entitlement.Override
	day    int    // the time, in days after begin
	plan   string // expected
	access bool
	err    error
}{
	{name: "none", err: entitlement.ErrNone},
	{name: "none, with an override", o: entitlement.Override{APIAccess: &yes}, err: entitlement.ErrNone},
	{name: "a hold alone", holds: holds(newHold("h", 0)), err: entitlement.ErrNone},
	{name: "a released hold alone", holds: holds(changed(newHold("h", 0), setReleased)), err: entitlement.ErrNone},
	{name: "a released hold, and the subscription that it ended", subs: subs(newSub("1", "pro", active, 0, 30)), holds: holds(changed(newHold("h", 3), setReleased)), day: 4, plan: "pro", access: true},
	{name: "a released hold, and an ended subscription", subs: subs(newSub("1", "pro", ended, 0, 30)), holds: holds(changed(newHold("h", 3), setReleased)), day: 4, plan: "pro"},
	{name: "one", subs: subs(newSub("1", "pro", active, 0, 30)), day: 1, plan: "pro", access: true},
	{name: "one without an ID", subs: subs(newSub("", "pro", active, 0, 30)), day: 1, plan: "pro", access: true},
	{name: "one without an end", subs: subs(changed(newSub("1", "pro", active, 0, 0), setEndless)), day: 999, plan: "pro", access: true},
	{name: "one without access", subs: subs(newSub("1", "free", active, 0, 30)), day: 1, plan: "free"},
	{name: "cancelled, before its end", subs: subs(newSub("1", "team", active, 0, 30)), day: 29, plan: "team", access: true},
	{name: "cancelled, at its end", subs: subs(newSub("1", "team", active, 0, 30)), day: 30, plan: "team"},
	{name: "in grace", subs: subs(newSub("1", "pro", pastDue, 0, 30)), day: 31, plan: "pro", access: true},
	{name: "after the grace", subs: subs(newSub("1", "pro", pastDue, 0, 30)), day: 32, plan: "pro"},
	{name: "no grace", subs: subs(newSub("1", "team", pastDue, 0, 30)), day: 30, plan: "team"},
	{name: "past due forever", subs: subs(changed(newSub("1", "pro", pastDue, 0, 0), setEndless)), day: 1, plan: "pro"},
	{name: "ended", subs: subs(newSub("1", "pro", ended, 0, 30)), day: 1, plan: "pro"},
	{name: "ended, without a plan", subs: subs(newSub("1", "", ended, 0, 30)), day: 1, err: entitlement.ErrNone},
	{name: "ended, without a plan, and another", subs: subs(newSub("1", "pro", ended, 0, 30), newSub("2", "", ended, 3, 0)), day: 4, plan: "pro"},
	{name: "an unknown status", subs: subs(newSub("1", "pro", "paused", 0, 30)), day: 1, plan: "pro"},
	{name: "no status", subs: subs(newSub("1", "pro", "", 0, 30)), day: 1, plan: "pro"},
	{name: "a better plan bought", subs: subs(newSub("1", "pro", active, 0, 30), newSub("2", "team", active, 10, 40)), day: 11, plan: "team", access: true},
	{name: "a lesser plan bought", subs: subs(newSub("2", "team", active, 0, 30), newSub("1", "pro", active, 10, 40)), day: 11, plan: "team", access: true},
	{name: "a lesser plan bought, the better one ended", subs: subs(newSub("2", "team", active, 0, 30), newSub("1", "pro", active, 10, 40)), day: 30, plan: "pro", access: true},
	{name: "a lesser plan bought, the better one past due", subs: subs(newSub("2", "team", pastDue, 0, 30), newSub("1", "pro", active, 10, 40)), day: 11, plan: "team", access: true},
	{name: "a lesser plan bought, the better one held", subs: subs(newSub("2", "team", active, 0, 30), newSub("1", "pro", active, 10, 40)), holds: holds(newHold("h", 5)), day: 11, plan: "pro", access: true},
	{name: "a plan of the same rank bought", subs: subs(newSub("2", "team", active, 0, 30), newSub("1", "crew", active, 10, 40)), day: 11, plan: "crew", access: true},
	{name: "two plans without a rank", subs: subs(newSub("1", "free", active, 10, 40), newSub("2", "free", active, 0, 30)), day: 11, plan: "free"},
	{name: "on trial", subs: subs(newSub("1", "team", trialing, 0, 30)), day: 29, plan: "team", access: true},
	{name: "on trial, at its end", subs: subs(newSub("1", "team", trialing, 0, 30)), day: 30, plan: "team"},
	{name: "a trial of a lesser plan", subs: subs(newSub("1", "team", active, 0, 30), newSub("2", "pro", trialing, 10, 40)), day: 11, plan: "team", access: true},
	{name: "a trial of a better plan", subs: subs(newSub("1", "pro", active, 0, 30), newSub("2", "team", trialing, 10, 40)), day: 11, plan: "pro", access: true},
	{name: "a trial of a better plan, the paid one past due", subs: subs(newSub("1", "pro", pastDue, 0, 30), newSub("2", "team", trialing, 10, 40)), day: 11, plan: "pro", access: true},
	{name: "a trial of a better plan, the paid one ended", subs: subs(newSub("1", "pro", active, 0, 30), newSub("2", "team", trialing, 10, 40)), day: 35, plan: "team", access: true},
	{name: "a trial along with a plan without access", subs: subs(newSub("1", "free", active, 0, 30), newSub("2", "team", trialing, 10, 40)), day: 11, plan: "team", access: true},
	{name: "two trials", subs: subs(newSub("1", "team", trialing, 0, 30), newSub("2", "pro", trialing, 10, 40)), day: 11, plan: "team", access: true},
	{name: "a trial and an older state of it that was paid", subs: subs(newSub("1", "team", active, 0, 30), changed(newSub("1", "team", trialing, 0, 30), setNewer), newSub("2", "pro", active, 0, 30)), day: 11, plan: "pro", access: true},
	{name: "the newer one ends first", subs: subs(newSub("1", "team", active, 0, 30), newSub("2", "pro", active, 10, 20)), day: 25, plan: "team", access: true},
	{name: "the newer one ended", subs: subs(newSub("1", "team", active, 0, 30), newSub("2", "pro", ended, 10, 40)), day: 11, plan: "team", access: true},
	{name: "the newer one gives no access", subs: subs(newSub("1", "pro", active, 0, 30), newSub("2", "free", active, 10, 40)), day: 11, plan: "pro", access: true},
	{name: "both ended", subs: subs(newSub("1", "pro", active, 0, 5), newSub("2", "team", ended, 10, 40)), day: 20, plan: "team"},
	{name: "begun at the same time", subs: subs(newSub("1", "pro", active, 0, 30), newSub("2", "team", active, 0, 30)), day: 1, plan: "team", access: true},
	{name: "held", subs: subs(newSub("1", "pro", active, 0, 30)), holds: holds(newHold("h", 3)), day: 4, plan: "pro"},
	{name: "held, endless", subs: subs(changed(newSub("1", "pro", active, 0, 0), setEndless)), holds: holds(newHold("h", 3)), day: 4, plan: "pro"},
	{name: "held since its start", subs: subs(newSub("1", "pro", active, 3, 30)), holds: holds(newHold("h", 3)), day: 4, plan: "pro"},
	{name: "held, all of them", subs: subs(newSub("1", "pro", active, 0, 30), newSub("2", "team", active, 1, 30)), holds: holds(newHold("h", 3)), day: 4, plan: "team"},
	{name: "held long ago", subs: subs(newSub("1", "pro", active, 0, 99)), holds: holds(newHold("h", 3)), day: 90, plan: "pro"},
	{name: "bought again after the hold", subs: subs(newSub("1", "pro", active, 0, 30), newSub("2", "team", active, 4, 34)), holds: holds(newHold("h", 3)), day: 5, plan: "team", access: true},
	{name: "held again", subs: subs(newSub("2", "team", active, 4, 34)), holds: holds(newHold("h", 3), newHold("i", 5)), day: 6, plan: "team"},
	{name: "held, start of the hold unknown", subs: subs(newSub("1", "pro", active, 0, 30)), holds: holds(changed(newHold("h", 0), setUnknown)), day: 1, plan: "pro"},
	{name: "start unknown, held", subs: subs(changed(newSub("1", "pro", active, 0, 30), setNoStart)), holds: holds(newHold("h", -999)), day: 1, plan: "pro"},
	{name: "start unknown", subs: subs(changed(newSub("1", "pro", active, 0, 30), setNoStart)), day: 1, plan: "pro", access: true},
	{name: "a hold of an earlier period", subs: subs(changed(newSub("1", "pro", active, 0, 30), setRenewed)), holds: holds(changed(newHold("h", 9), setHeldPeriod(4))), day: 6, plan: "pro", access: true},
	{name: "a hold of the current period", subs: subs(changed(newSub("1", "pro", active, 0, 30), setRenewed)), holds: holds(changed(newHold("h", 9), setHeldPeriod(5))), day: 6, plan: "pro"},
	{name: "a hold of a period, start of the period unknown", subs: subs(newSub("1", "pro", active, 3, 30)), holds: holds(changed(newHold("h", 9), setHeldPeriod(4))), day: 6, plan: "pro"},
	{name: "a hold of a period before the subscription began", subs: subs(newSub("1", "pro", active, 5, 30)), holds: holds(changed(newHold("h", 9), setHeldPeriod(4))), day: 6, plan: "pro", access: true},
	{name: "a hold before it was renewed", subs: subs(changed(newSub("1", "pro", active, 0, 30), setRenewed)), holds: holds(newHold("h", 4)), day: 6, plan: "pro"},
	{name: "a hold without a start, and renewed", subs: subs(changed(newSub("1", "pro", active, 0, 30), setRenewed)), holds: holds(changed(newHold("h", 0), setUnknown)), day: 6, plan: "pro"},
	{name: "two paid periods, neither newer", subs: subs(changed(newSub("1", "pro", active, 0, 30), setRenewed), newSub("1", "pro", active, 0, 30)), day: 1, err: errAny},
	{name: "an older state", subs: subs(newSub("1", "pro", active, 0, 30), changed(newSub("1", "pro", ended, 0, 30), setNewer)), day: 1, plan: "pro"},
	{name: "an older state that began later", subs: subs(newSub("1", "team", active, 9, 30), changed(newSub("1", "pro", ended, 0, 30), setNewer)), day: 1, plan: "pro"},
	{name: "a newer state", subs: subs(newSub("1", "pro", ended, 0, 30), changed(newSub("1", "team", active, 0, 30), setNewer)), day: 1, plan: "team", access: true},
	{name: "a hold that was released", subs: subs(newSub("1", "pro", active, 0, 30)), holds: holds(newHold("h", 3), changed(changed(newHold("h", 3), setReleased), setNewerHold)), day: 4, plan: "pro", access: true},
	{name: "a hold that was released, an older state", subs: subs(newSub("1", "pro", active, 0, 30)), holds: holds(changed(newHold("h", 3), setReleased), changed(newHold("h", 3), setNewerHold)), day: 4, plan: "pro"},
	{name: "the same hold twice", subs: subs(newSub("1", "pro", active, 0, 30)), holds: holds(newHold("h", 3), newHold("h", 3)), day: 4, plan: "pro"},
	{name: "two states of a hold, neither newer", subs: subs(newSub("1", "pro", active, 0, 30)), holds: holds(newHold("h", 3), changed(newHold("h", 3), setReleased)), day: 4, err: errAny},
	{name: "two starts of a hold, neither newer", subs: subs(newSub("1", "pro", active, 0, 30)), holds: holds(newHold("h", 3), newHold("h", 4)), day: 4, err: errAny},
	{name: "two periods of a hold, neither newer", subs: subs(newSub("1", "pro", active, 0, 30)), holds: holds(newHold("h", 3), changed(newHold("h", 3), setHeldPeriod(4))), day: 4, err: errAny},
	{name: "another owner's hold", subs: subs(newSub("1", "pro", active, 0, 30)), holds: holds(changed(newHold("h", 3), setBob)), day: 4, err: errAny},
	{name: "holds of two owners", holds: holds(newHold("h", 3), changed(newHold("i", 3), setBob)), day: 4, err: errAny},
	{name: "the same twice", subs: subs(newSub("1", "pro", active, 0, 30), newSub("1", "pro", active, 0, 30)), day: 1, plan: "pro", access: true},
	{name: "two states, neither newer", subs: subs(newSub("1", "pro", active, 0, 30), newSub("1", "pro", ended, 0, 30)), day: 1, err: errAny},
	{name: "two plans, neither newer", subs: subs(newSub("1", "pro", active, 0, 30), newSub("1", "team", active, 0, 30)), day: 1, err: errAny},
	{name: "two ends, neither newer", subs: subs(newSub("1", "pro", active, 0, 30), changed(newSub("1", "pro", active, 0, 30), setEndless)), day: 1, err: errAny},
	{name: "another owner's", subs: subs(newSub("1", "free", active, 0, 30), changed(newSub("2", "pro", active, 0, 30), func(s *entitlement.Subscription) { s.Owner = "bob" })), day: 1, err: errAny},
	{name: "an unknown plan", subs: subs(newSub("1", "premium", active, 0, 30)), day: 1, err: entitlement.ErrUnknownPlan},
	{name: "no plan", subs: subs(newSub("1", "", active, 0, 30)), day: 1, err: entitlement.ErrUnknownPlan},
	{name: "an unknown plan, past due", subs: subs(newSub("1", "premium", pastDue, 0, 30)), day: 1, err: entitlement.ErrUnknownPlan},
	{name: "an unknown plan, ended", subs: subs(newSub("1", "premium", ended, 0, 30)), day: 1, plan: "premium"},
	{name: "an unknown plan, lapsed", subs: subs(newSub("1", "premium", active, 0, 30)), day: 30, plan: "premium"},
	{name: "an unknown plan, lapsed, with grace", subs: subs(newSub("1", "premium", active, 0, 30)), o: entitlement.Override{Grace: 5 * day}, day: 31, err: entitlement.ErrUnknownPlan},
	{name: "an unknown plan, ended, with access", subs: subs(newSub("1", "premium", ended, 0, 30)), o: entitlement.Override{APIAccess: &yes}, day: 1, plan: "premium"},
	{name: "an unknown plan, held", subs: subs(newSub("1", "premium", active, 0, 30)), holds: holds(newHold("h", 3)), day: 4, plan: "premium"},
	{name: "an unknown plan that began last", subs: subs(newSub("1", "pro", active, 0, 30), newSub("2", "premium", active, 1, 30)), day: 4, err: entitlement.ErrUnknownPlan},
	{name: "an unknown plan between two others", subs: subs(newSub("1", "team", active, 0, 30), newSub("2", "premium", active, 1, 30), newSub("3", "pro", active, 2, 30)), day: 4, plan: "team", access: true},
	{name: "an unknown plan that was replaced", subs: subs(newSub("1", "premium", active, 0, 30), newSub("2", "pro", active, 1, 30)), day: 4, plan: "pro", access: true},
	{name: "an unknown plan, replaced by one without access", subs: subs(newSub("1", "premium", active, 0, 30), newSub("2", "free", active, 1, 30)), day: 4, err: entitlement.ErrUnknownPlan},
	{name: "override gives access", subs: subs(newSub("1", "free", active, 0, 30)), o: entitlement.Override{APIAccess: &yes}, day: 1, plan: "free", access: true},
	{name: "override removes access", subs: subs(newSub("1", "pro", active, 0, 30)), o: entitlement.Override{APIAccess: &no}, day: 1, plan: "pro"},
	{name: "override of an ended subscription", subs: subs(newSub("1", "pro", ended, 0, 30)), o: entitlement.Override{APIAccess: &yes, Grace: 9 * day}, day: 1, plan: "pro"},
	{name: "override of a lapsed subscription", subs: subs(newSub("1", "team", active, 0, 30)), o: entitlement.Override{APIAccess: &yes}, day: 30, plan: "team"},
	{name: "override of a held subscription", subs: subs(newSub("1", "pro", active, 0, 30)), holds: holds(newHold("h", 3)), o: entitlement.Override{APIAccess: &yes}, day: 4, plan: "pro"},
	{name: "override of an unknown status", subs: subs(newSub("1", "pro", "paused", 0, 30)), o: entitlement.Override{APIAccess: &yes}, day: 1, plan: "pro"},
	{name: "override adds grace", subs: subs(newSub("1", "team", pastDue, 0, 30)), o: entitlement.Override{Grace: 9 * day}, day: 38, plan: "team", access: true},
	{name: "override removes grace", subs: subs(newSub("1", "pro", pastDue, 0, 30)), o: entitlement.Override{Grace: -1}, day: 30, plan: "pro"},
}

func subs(s ...entitlement.Subscription) []entitlement.Subscription { return s }
func holds(h ...entitlement.Hold) []entitlement.Hold                { return h }

// errAny stands for any error that is not a sentinel.
var errAny = errors.New("any")

func TestResolve(t *testing.T) {
	t.Parallel()
	c := newCatalog(t)
	for _, r := range resolutions {
		at := begin.Add(time.Duration(r.day) * day)
		check := func(subs []entitlement.Subscription, holds []entitlement.Hold) {
			givenSubs, givenHolds := slices.Clone(subs), slices.Clone(holds)
			e, err := c.Resolve(entitlement.Purchases{Subscriptions: subs, Holds: holds, Override: r.o}, at)
			switch {
			case r.err == errAny && (err == nil || errors.Is(err, entitlement.ErrNone) || errors.Is(err, entitlement.ErrUnknownPlan)),
				r.err != errAny && !errors.Is(err, r.err):
				t.Errorf("%s: got %+v, %v, want %v", r.name, e, err, r.err)
			case e.Plan != r.plan || e.APIAccess != r.access || e.Active(at) != r.access || r.err != nil && !reflect.ValueOf(e).IsZero():
				t.Errorf("%s: got %+v, want plan %q, access %v", r.name, e, r.plan, r.access)
			case !reflect.DeepEqual(subs, givenSubs), !reflect.DeepEqual(holds, givenHolds):
				t.Errorf("%s: an argument was changed", r.name)
			}
		}
		for subs := range permutations(r.subs) {
			for holds := range permutations(r.holds) {
				check(subs, holds)
			}
		}
	}
}

// permutations yields the values in every order.
func permutations[T any](all []T) iter.Seq[[]T] {
	return func(yield func([]T) bool) { permute(slices.Clone(all), 0, yield) }
}

func permute[T any](all []T, i int, yield func([]T) bool) bool {
	if i >= len(all)-1 {
		return yield(all)
	}
	for j := i; j < len(all); j++ {
		all[i], all[j] = all[j], all[i]
		if !permute(all, i+1, yield) {
			return false
		}
		all[i], all[j] = all[j], all[i]
	}
	return true
}

// The fields of the plan and of the override are returned unchanged.
func TestResolveReturnsTheWholePlan(t *testing.T) {
	t.Parallel()
	e, err := newCatalog(t).Resolve(entitlement.Purchases{Subscriptions: subs(newSub("1", "pro", active, 0, 30)), Override: entitlement.Override{MaxKeys: 20}}, begin)
	want := entitlement.Entitlement{Plan: "pro", APIAccess: true, Rank: 1, MaxKeys: 20, Grace: 2 * day, ValidUntil: begin.Add(30 * day)}
	if err != nil || !reflect.DeepEqual(e, want) {
		t.Errorf("got %+v, %v, want %+v", e, err, want)
	}
}

func TestResolveErrorNamesCause(t *testing.T) {
	t.Parallel()
	_, err := newCatalog(t).Resolve(entitlement.Purchases{Subscriptions: subs(newSub("sub_7", "pro", active, 0, 30), newSub("sub_7", "pro", ended, 0, 30))}, begin)
	if err == nil || !strings.Contains(err.Error(), `"sub_7"`) {
		t.Errorf("got %v, want an error with the ID", err)
	}
	_, err = newCatalog(t).Resolve(entitlement.Purchases{Subscriptions: subs(newSub("1", "premium", active, 0, 30))}, begin)
	if err == nil || !strings.Contains(err.Error(), `"premium"`) {
		t.Errorf("got %v, want an error with the plan", err)
	}
}

// E-07: the order of the subscriptions and holds never makes a difference. There is no
// access without a paid subscription that no hold ends.
func TestResolveIsIndependentOfOrder(t *testing.T) {
	t.Parallel()
	c := newCatalog(t)
	rng := rand.New(rand.NewPCG(1, 2))
	granted := 0
	for n := range 5000 {
		all := make([]entitlement.Subscription, rng.IntN(6))
		for i := range all {
			all[i] = randomSubscription(rng)
		}
		holds := make([]entitlement.Hold, max(rng.IntN(5)-2, 0))
		for i := range holds {
			holds[i] = randomHold(rng)
		}
		o := entitlement.Override{APIAccess: pick(rng, nil, &yes, &no), Grace: pick(rng, 0, -1, 3*day)}
		at := begin.Add(time.Duration(rng.IntN(8)) * day)
		e, err := c.Resolve(entitlement.Purchases{Subscriptions: all, Holds: holds, Override: o}, at)
		want := fmt.Sprintf("%+v %v", e, err)
		for range 4 {
			rng.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
			rng.Shuffle(len(holds), func(i, j int) { holds[i], holds[j] = holds[j], holds[i] })
			again, err := c.Resolve(entitlement.Purchases{Subscriptions: all, Holds: holds, Override: o}, at)
			if got := fmt.Sprintf("%+v %v", again, err); got != want {
				t.Fatalf("case %d: got %s and then %s for %+v and the holds %+v", n, want, got, all, holds)
			}
		}
		if e.Active(at) {
			granted++
			plan, _ := c.Plan(e.Plan)
			plan = o.Apply(plan)
			if !slices.ContainsFunc(all, func(s entitlement.Subscription) bool { return grants(s, all, holds, plan, at) }) {
				t.Fatalf("case %d: got %+v at %v for %+v and the holds %+v", n, e, at, all, holds)
			}
			checkNoneCountsBefore(t, c, e, o, all, holds, at)
		}
	}
	if granted < 200 {
		t.Errorf("cases with access: got %d of 5000, want at least 200", granted)
	}
}

// checkNoneCountsBefore fails if a subscription that was paid for gives access and e is a
// trial, or if one of the same kind has a plan of a higher rank.
func checkNoneCountsBefore(t *testing.T, c *entitlement.Catalog, e entitlement.Entitlement, o entitlement.Override, all []entitlement.Subscription, holds []entitlement.Hold, at time.Time) {
	t.Helper()
	mine, _ := c.Plan(e.Plan)
	mine = o.Apply(mine)
	paid := slices.ContainsFunc(all, func(s entitlement.Subscription) bool {
		return s.Status != trialing && s.PeriodEnd.Equal(e.ValidUntil) && grants(s, all, holds, mine, at)
	})
	for _, s := range all {
		plan, err := c.Plan(s.Plan)
		if plan = o.Apply(plan); err != nil || !plan.APIAccess || s.Status == pastDue && s.PeriodEnd.IsZero() || !grants(s, all, holds, plan, at) {
			continue
		}
		if s.Status != trialing && !paid || (s.Status != trialing) == paid && plan.Rank > e.Rank {
			t.Fatalf("got %+v, want %+v, for %+v and the holds %+v", e, s, all, holds)
		}
	}
}

func randomSubscription(rng *rand.Rand) entitlement.Subscription {
	return entitlement.Subscription{
		Owner: "ann", ID: pick(rng, "", "a", "b", "c", "d", "e"), Plan: pick(rng, "free", "pro", "team", "team", "premium", ""),
		Status:    pick(rng, active, active, trialing, pastDue, ended, "paused"),
		StartedAt: moment(rng), PeriodStart: pick(rng, time.Time{}, moment(rng)), PeriodEnd: moment(rng), UpdatedAt: moment(rng), Version: int64(rng.IntN(3)),
		Source: pick(rng, "", "stripe"), CancelAtPeriodEnd: pick(rng, false, false, true),
	}
}

func randomHold(rng *rand.Rand) entitlement.Hold {
	return entitlement.Hold{
		Owner: "ann", ID: pick(rng, "a", "h", "i"), Released: pick(rng, false, false, true),
		StartedAt: moment(rng), PeriodStart: pick(rng, time.Time{}, moment(rng)), UpdatedAt: moment(rng), Version: int64(rng.IntN(3)),
	}
}

func moment(rng *rand.Rand) time.Time {
	return pick(rng, time.Time{}, begin, begin.Add(day-time.Minute), begin.Add(day), begin.Add(3*day), begin.Add(3*day+time.Minute), begin.Add(5*day))
}

func pick[T any](rng *rand.Rand, of ...T) T { return of[rng.IntN(len(of))] }

// grants states the rule in another way: s is the newest state of a subscription
// that is paid for and has the plan, and no hold's newest state ends it.
func grants(s entitlement.Subscription, all []entitlement.Subscription, holds []entitlement.Hold, plan entitlement.Entitlement, at time.Time) bool {
	if s.Plan != plan.Plan || s.Status != active && s.Status != trialing && s.Status != pastDue || !isNewest(s, all) {
		return false
	}
	if !s.PeriodEnd.IsZero() && !at.Before(s.PeriodEnd.Add(continues(s, plan))) {
		return false
	}
	for _, h := range holds {
		if h.Released || slices.ContainsFunc(holds, func(g entitlement.Hold) bool { return g.ID == h.ID && g.Newer(h) }) {
			continue
		}
		paid := s.PeriodStart
		if paid.IsZero() {
			paid = s.StartedAt
		}
		if h.PeriodStart.IsZero() && (h.StartedAt.IsZero() || !s.StartedAt.After(h.StartedAt)) || !h.PeriodStart.IsZero() && !paid.After(h.PeriodStart) {
			return false
		}
	}
	return true
}

// continues returns how long s lasts after its period.
func continues(s entitlement.Subscription, plan entitlement.Entitlement) time.Duration {
	switch {
	case s.Status == pastDue:
		return max(plan.Grace, 0)
	case s.CancelAtPeriodEnd:
		return 0
	case s.Source == "stripe" && (s.Status == active || s.UpdatedAt.Before(s.PeriodEnd)):
		return max(plan.Grace, 0) + time.Hour
	}
	return max(plan.Grace, 0)
}

func isNewest(s entitlement.Subscription, all []entitlement.Subscription) bool {
	return !slices.ContainsFunc(all, func(t entitlement.Subscription) bool { return t.Source == s.Source && t.ID == s.ID && t.Newer(s) })
}

// E-03: a subscription that is renewed has the plan's grace of two days, and one of a billing
// system has one more hour for the event. One that is not renewed ends with its period. The
// period's end that the owner sees is exact.
func TestEndOfPeriod(t *testing.T) {
	t.Parallel()
	last := func(s *entitlement.Subscription) { s.CancelAtPeriodEnd = true }
	for _, tt := range []struct {
		name     string
		s        entitlement.Subscription
		override time.Duration
		want     time.Duration // after the end of the period
	}{
		{"renewed", stripeSub("1", "pro", active, 0, 30), 0, 2*day + time.Hour},
		{"renewed, without a grace", stripeSub("1", "team", active, 0, 30), 0, time.Hour},
		{"renewed, with an override of the grace", stripeSub("1", "pro", active, 0, 30), 5 * day, 5*day + time.Hour},
		{"renewed, with an override of no grace", stripeSub("1", "pro", active, 0, 30), -1, time.Hour},
		{"renewed, with the longest grace", stripeSub("1", "pro", active, 0, 30), entitlement.MaxGrace, entitlement.MaxGrace},
		{"renewed after a trial", stripeSub("1", "pro", trialing, 0, 30), 0, 2*day + time.Hour},
		{"the first payment after a trial has failed", changed(stripeSub("1", "pro", trialing, 0, 30), func(s *entitlement.Subscription) { s.UpdatedAt = at(30) }), 0, 2 * day},
		{"updated before the end of a trial", changed(stripeSub("1", "pro", trialing, 0, 30), func(s *entitlement.Subscription) { s.UpdatedAt = at(29) }), 0, 2*day + time.Hour},
		{"updated after the end, before the renewal", changed(stripeSub("1", "pro", active, 0, 30), func(s *entitlement.Subscription) { s.UpdatedAt = at(30) }), 0, 2*day + time.Hour},
		{"the renewal has failed", stripeSub("1", "pro", pastDue, 0, 30), 0, 2 * day},
		{"the renewal has failed, and it is cancelled", changed(stripeSub("1", "pro", pastDue, 0, 30), last), 0, 2 * day},
		{"cancelled", changed(stripeSub("1", "pro", active, 0, 30), last), 0, 0},
		{"cancelled, with an override of the grace", changed(stripeSub("1", "pro", active, 0, 30), last), 5 * day, 0},
		{"cancelled in a trial", changed(stripeSub("1", "pro", trialing, 0, 30), last), 0, 0},
		{"the host's own", newSub("1", "pro", active, 0, 30), 0, 2 * day},
		{"the host's own, not renewed", changed(newSub("1", "pro", active, 0, 30), last), 0, 0},
	} {
		bought := entitlement.Purchases{Subscriptions: subs(tt.s), Override: entitlement.Override{Grace: tt.override}}
		end := at(30).Add(tt.want)
		for _, when := range []time.Time{at(29), end.Add(-time.Microsecond), end} {
			e, err := newCatalog(t).Resolve(bought, when)
			if err != nil || e.Active(when) != when.Before(end) || e.APIAccess != when.Before(end) {
				t.Errorf("%s: at %v: got %+v, %v, want access until %v", tt.name, when, e, err, end)
			}
			if !e.ValidUntil.Equal(at(30)) || !e.EndsAt().Equal(end) {
				t.Errorf("%s: got valid until %v and an end at %v, want %v and %v", tt.name, e.ValidUntil, e.EndsAt(), at(30), end)
			}
		}
	}
}

func TestContradictingCancellations(t *testing.T) {
	t.Parallel()
	s := stripeSub("1", "pro", active, 0, 30)
	other := changed(s, func(s *entitlement.Subscription) { s.CancelAtPeriodEnd = true })
	if _, err := newCatalog(t).Resolve(entitlement.Purchases{Subscriptions: subs(s, other)}, at(1)); err == nil {
		t.Error("two states of the same age, one of them cancelled: got no error")
	}
}
