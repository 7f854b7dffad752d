package entitlement_test

import (
	"testing"
	"time"

	"github.com/keyhatch/keyhatch/entitlement"
)

func TestNewer(t *testing.T) {
	t.Parallel()
	state := func(at time.Duration, version int64) entitlement.Subscription {
		return entitlement.Subscription{UpdatedAt: begin.Add(at), Version: version}
	}
	for name, c := range map[string]struct {
		s, old entitlement.Subscription
		want   bool
	}{
		"later":                     {state(1, 0), state(0, 0), true},
		"earlier":                   {state(0, 0), state(1, 0), false},
		"the same state":            {state(1, 1), state(1, 1), false},
		"higher":                    {state(0, 2), state(0, 1), true},
		"lower":                     {state(0, 1), state(0, 2), false},
		"later and lower":           {state(1, 1), state(0, 2), true},
		"earlier and higher":        {state(0, 2), state(1, 1), false},
		"than the zero":             {state(0, 0), entitlement.Subscription{}, true},
		"zero than zero":            {entitlement.Subscription{}, entitlement.Subscription{}, false},
		"the same, in another zone": {entitlement.Subscription{UpdatedAt: begin.In(time.FixedZone("", 3600))}, state(0, 0), false},
	} {
		if got := c.s.Newer(c.old); got != c.want {
			t.Errorf("%s: got %v, want %v", name, got, c.want)
		}
		h, old := holdOf(c.s), holdOf(c.old)
		if got := h.Newer(old); got != c.want {
			t.Errorf("a hold, %s: got %v, want %v", name, got, c.want)
		}
	}
}

func holdOf(s entitlement.Subscription) entitlement.Hold {
	return entitlement.Hold{UpdatedAt: s.UpdatedAt, Version: s.Version}
}

func TestStatusValid(t *testing.T) {
	t.Parallel()
	for s, want := range map[entitlement.Status]bool{
		entitlement.Active: true, entitlement.Trialing: true, entitlement.PastDue: true, entitlement.Ended: true,
		"": false, "held": false, "Active": false, "paused": false, "active ": false,
	} {
		if s.Valid() != want {
			t.Errorf("%q: got %v, want %v", s, !want, want)
		}
	}
}
