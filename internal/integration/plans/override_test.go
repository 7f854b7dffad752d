package plans_test

import (
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/keyhatch/keyhatch/entitlement"
)

func TestOverrideIsReadBack(t *testing.T) {
	forEach(t, func(t *testing.T, d database) {
		p, _ := d.start(t)
		no := false
		for _, o := range []entitlement.Override{
			{MaxKeys: 7},
			{APIAccess: &no, MaxKeys: -1, Scopes: []string{"a:*"}, Features: []string{"☃ 'quoted' \"twice\" \\"},
				Limits: entitlement.Limits{PerDay: 5}, Grace: time.Hour},
			{Scopes: []string{}, Features: []string{}},
			{},
		} {
			if err := p.SetOverride(t.Context(), "ann", o); err != nil {
				t.Fatal(err)
			}
			if got, err := p.Override(t.Context(), "ann"); err != nil || !reflect.DeepEqual(got, o) {
				t.Errorf("got %+v, %v, want %+v", got, err, o)
			}
			if got, err := p.Override(t.Context(), "Ann"); err != nil || !got.IsZero() {
				t.Errorf("another owner: got the override %+v, %v, want none", got, err)
			}
		}
	})
}

// An override survives updates from the billing system, and grants nothing without a
// subscription.
func TestOverrideOutlivesPut(t *testing.T) {
	forEach(t, func(t *testing.T, d database) {
		p, _ := d.start(t)
		keys := func(want int, when string) {
			t.Helper()
			if e, err := p.Entitlement(t.Context(), "ann"); err != nil || e.MaxKeys != want || !e.APIAccess {
				t.Errorf("%s: got %+v, %v, want %d keys", when, e, err, want)
			}
		}
		if err := p.SetOverride(t.Context(), "ann", entitlement.Override{MaxKeys: 77}); err != nil {
			t.Fatal(err)
		}
		if e, err := p.Entitlement(t.Context(), "ann"); !errors.Is(err, entitlement.ErrNone) {
			t.Errorf("an override without a subscription: got %+v, %v, want ErrNone", e, err)
		}
		s := bought("ann", "", "pro")
		put(t, p, s, true)
		keys(77, "after the first Put")
		s.Plan, s.Version = "max", 1
		put(t, p, s, true)
		keys(77, "after another Put")
		put(t, p, bought("ann", "sub_2", "max"), true)
		keys(77, "after the Put of another subscription")
		if err := p.SetOverride(t.Context(), "ann", entitlement.Override{}); err != nil {
			t.Fatal(err)
		}
		keys(50, "after it was taken back")
	})
}
