package plans_test

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/keyhatch/keyhatch/entitlement"
)

func TestWhatIsPutIsReadBack(t *testing.T) {
	forEach(t, func(t *testing.T, d database) {
		p, _ := d.start(t)
		owner := "Ann «⚿» " + strings.Repeat("ß", 20)
		for _, s := range []entitlement.Subscription{
			{Owner: owner, ID: "sub_1", Plan: "pro", Status: entitlement.Active, StartedAt: noon.Add(3), PeriodStart: noon.Add(5 * time.Minute), PeriodEnd: noon.Add(time.Hour), CancelAtPeriodEnd: true, UpdatedAt: noon, Version: 1<<63 - 1},
			{Owner: owner, ID: strings.Repeat("x", 255), Plan: "max", Status: entitlement.PastDue, StartedAt: noon.Add(2), PeriodStart: noon.Add(1), PeriodEnd: noon, UpdatedAt: noon.Add(999)},
			{Owner: owner, ID: "", Plan: "gone", Status: entitlement.Ended, StartedAt: noon.Add(-time.Hour), UpdatedAt: time.Date(9999, 12, 31, 23, 59, 59, 999999999, time.UTC)},
		} {
			put(t, p, s, true)
			for _, t := range []*time.Time{&s.StartedAt, &s.PeriodStart, &s.UpdatedAt} {
				*t = t.Truncate(time.Microsecond)
			}
			var got entitlement.Subscription
			for _, kept := range subscriptions(t, p, owner) {
				if kept.ID == s.ID {
					got = kept
				}
			}
			if !reflect.DeepEqual(got, s) {
				t.Errorf("got  %+v\nwant %+v", got, s)
			}
		}
		var ids []string
		for _, s := range subscriptions(t, p, owner) {
			ids = append(ids, s.ID)
		}
		if want := []string{strings.Repeat("x", 255), "sub_1", ""}; !reflect.DeepEqual(ids, want) && !reflect.DeepEqual(ids, []string{"sub_1", want[0], ""}) {
			t.Errorf("got %q, want the IDs from the latest start to the earliest", ids)
		}
		first := entitlement.Hold{Owner: owner, ID: "hold", UpdatedAt: time.Date(1, 1, 1, 0, 0, 0, 1000, time.UTC), Version: 7}
		last := entitlement.Hold{Owner: owner, ID: strings.Repeat("y", 255), StartedAt: noon, PeriodStart: noon.Add(-time.Hour), Released: true, UpdatedAt: noon, Version: 1<<63 - 1}
		putHold(t, p, first, true)
		putHold(t, p, last, true)
		if got, want := holds(t, p, owner), []entitlement.Hold{last, first}; !reflect.DeepEqual(got, want) {
			t.Errorf("got  %+v\nwant %+v", got, want)
		}
		if got := subscriptions(t, p, owner); len(got) != len(ids) {
			t.Errorf("subscriptions along with holds: got %+v, want %q", got, ids)
		}
	})
}

func TestNewerTakesThePlaceOfOlder(t *testing.T) {
	forEach(t, func(t *testing.T, d database) {
		p, _ := d.start(t)
		at := func(plan string, after time.Duration, version int64) entitlement.Subscription {
			s := bought("ann", "sub_1", plan)
			s.UpdatedAt, s.Version = noon.Add(after), version
			return s
		}
		for _, c := range []struct {
			name string
			s    entitlement.Subscription
			want bool
		}{
			{"the first", at("pro", time.Second, 5), true},
			{"the same", at("pro", time.Second, 5), false},
			{"as new, another plan", at("max", time.Second, 5), false},
			{"as new below a microsecond", at("max", time.Second+999, 5), false},
			{"lower version", at("max", time.Second, 4), false},
			{"older, higher version", at("max", 0, 9), false},
			{"higher version", at("max", time.Second, 6), true},
			{"the first again", at("pro", time.Second, 5), false},
			{"newer, lower version", at("free", time.Second+time.Microsecond, 1), true},
			{"long before 1970", at("max", -100*365*24*time.Hour, 1), false},
		} {
			changed, err := p.Put(t.Context(), c.s)
			if err != nil || changed != c.want {
				t.Errorf("%s: got %v, %v, want %v", c.name, changed, err, c.want)
			}
		}
		if got, want := subscriptions(t, p, "ann"), []entitlement.Subscription{at("free", time.Second+time.Microsecond, 1)}; !reflect.DeepEqual(got, want) {
			t.Errorf("got %+v, want %+v", got, want)
		}
	})
}

func TestEntitlementIsThatOfTheOwnersRows(t *testing.T) {
	forEach(t, func(t *testing.T, d database) {
		p, _ := d.start(t)
		put(t, p, bought("ann", "sub_1", "pro"), true)
		put(t, p, bought("ANN", "sub_1", "max"), true)
		put(t, p, bought("ann ", "sub_1", "free"), true)
		put(t, p, bought("änn", "sub_1", "max"), true)
		for owner, plan := range map[string]string{"ann": "pro", "ANN": "max", "ann ": "free", "änn": "max"} {
			if e, err := p.Entitlement(t.Context(), owner); err != nil || e.Plan != plan || e.APIAccess != (plan != "free") {
				t.Errorf("owner %q: got %+v, %v, want %s", owner, e, err, plan)
			}
		}
		for _, owner := range []string{"Ann", "an", "ann  ", "", "' OR ''='", "%", `a\`} {
			if e, err := p.Entitlement(t.Context(), owner); !errors.Is(err, entitlement.ErrNone) {
				t.Errorf("owner %q: got %+v, %v, want ErrNone", owner, e, err)
			}
		}
		hold := entitlement.Hold{Owner: "ann", ID: "dispute", StartedAt: noon, UpdatedAt: noon}
		putHold(t, p, hold, true)
		if e, err := p.Entitlement(t.Context(), "ann"); err != nil || e.APIAccess {
			t.Errorf("in dispute: got %+v, %v, want no access", e, err)
		}
		hold.Released, hold.Version = true, 1
		putHold(t, p, hold, true)
		hold.Released, hold.Version = false, 0
		putHold(t, p, hold, false)
		if e, err := p.Entitlement(t.Context(), "ann"); err != nil || !e.APIAccess {
			t.Errorf("after the dispute was won: got %+v, %v, want access", e, err)
		}
	})
}

// A hold and a subscription of an owner cannot have the same ID, even if one of them is
// older. The second one is refused. It neither gets lost nor replaces the first.
func TestIDOfTheOtherKind(t *testing.T) {
	forEach(t, func(t *testing.T, d database) {
		p, _ := d.start(t)
		s := bought("ann", "sub_1", "pro")
		h := entitlement.Hold{Owner: "bob", ID: "hold_1", StartedAt: noon, UpdatedAt: noon}
		put(t, p, s, true)
		putHold(t, p, h, true)
		for _, age := range []time.Duration{-time.Second, 0, time.Second} {
			hold, subscription := h, s
			hold.Owner, hold.ID, hold.UpdatedAt = s.Owner, s.ID, noon.Add(age)
			subscription.Owner, subscription.ID, subscription.UpdatedAt = h.Owner, h.ID, noon.Add(age)
			if changed, err := p.PutHold(t.Context(), hold); changed || !isInvalid(err) || !strings.Contains(err.Error(), `subscription "sub_1"`) {
				t.Errorf("a hold, %v later than the subscription with its ID: got %v, %v, want an InvalidError that names the subscription", age, changed, err)
			}
			if changed, err := p.Put(t.Context(), subscription); changed || !isInvalid(err) || !strings.Contains(err.Error(), `hold "hold_1"`) {
				t.Errorf("a subscription, %v later than the hold with its ID: got %v, %v, want an InvalidError that names the hold", age, changed, err)
			}
		}
		if got := subscriptions(t, p, "ann"); !reflect.DeepEqual(got, []entitlement.Subscription{s}) || len(holds(t, p, "ann")) > 0 {
			t.Errorf("got the subscriptions %+v, want only %+v", got, s)
		}
		if got := holds(t, p, "bob"); !reflect.DeepEqual(got, []entitlement.Hold{h}) || len(subscriptions(t, p, "bob")) > 0 {
			t.Errorf("got the holds %+v, want only %+v", got, h)
		}
		h.Owner = "ann" // another owner's ID
		putHold(t, p, h, true)
	})
}

func isInvalid(err error) bool { return errors.As(err, new(*entitlement.InvalidError)) }

// Texts that look like SQL are stored unchanged.
func TestTextsAreNotStatements(t *testing.T) {
	forEach(t, func(t *testing.T, d database) {
		p, _ := d.start(t)
		for _, text := range []string{`'; DROP TABLE keyhatch_plans; --`, `\`, `a\'b`, `"`, "`", "?", "$1", "%s", "keyhatch_plans"} {
			s := bought(text, text, "pro")
			put(t, p, s, true)
			if got := subscriptions(t, p, text); !reflect.DeepEqual(got, []entitlement.Subscription{s}) {
				t.Errorf("got %+v, want %+v", got, s)
			}
			if err := p.SaveRejected(t.Context(), "stripe", text, noon, text, []byte(text)); err != nil {
				t.Error(err)
			}
		}
	})
}
