package apikey

import (
	"fmt"
	"testing"
	"time"

	"github.com/keyhatch/keyhatch/cache"
	"github.com/keyhatch/keyhatch/entitlement"
)

// Owners with the same plan share its entitlement, whenever their paid periods end.
func TestPlansAreShared(t *testing.T) {
	var pool planPool
	pro := entitlement.Entitlement{Plan: "pro", APIAccess: true, MaxKeys: 5, Scopes: []string{"reports:*"}, Features: []string{"export"}}
	soon := pro.Clone()
	soon.ValidUntil = time.Now().Add(time.Hour).Truncate(time.Microsecond).UTC()
	one, other := pool.share(pro.Clone()), pool.share(soon.Clone())
	if one.entitlement != other.entitlement {
		t.Error("two owners with the same plan do not share its entitlement")
	}
	if got := one.clone().ValidUntil; !got.IsZero() {
		t.Errorf("a plan without an end: got the end %v", got)
	}
	if got := other.clone().ValidUntil; got != soon.ValidUntil {
		t.Errorf("a plan that ends at %v: got the end %v", soon.ValidUntil, got)
	}
	for i, change := range []func(e *entitlement.Entitlement){
		func(e *entitlement.Entitlement) { e.Plan = "team" },
		func(e *entitlement.Entitlement) { e.APIAccess = false },
		func(e *entitlement.Entitlement) { e.MaxKeys++ },
		func(e *entitlement.Entitlement) { e.Scopes = nil },
		func(e *entitlement.Entitlement) { e.Scopes = []string{} },
		func(e *entitlement.Entitlement) { e.Scopes[0] = "*" },
		func(e *entitlement.Entitlement) { e.Features = nil },
		func(e *entitlement.Entitlement) { e.Rank++ },
		func(e *entitlement.Entitlement) { e.Limits.PerDay++ },
		func(e *entitlement.Entitlement) { e.Grace++ },
	} {
		different := pro.Clone()
		change(&different)
		if pool.share(different).entitlement == one.entitlement {
			t.Errorf("change %d: two different plans share an entitlement", i)
		}
	}
	for i := range len(pool.recent) {
		pool.share(entitlement.Entitlement{Plan: fmt.Sprint("plan ", i)})
	}
	if pool.share(pro.Clone()).entitlement == one.entitlement {
		t.Errorf("the pool keeps more than %d plans", len(pool.recent))
	}
}

// A time far in the future does not overflow.
func TestPlanThatNeverEnds(t *testing.T) {
	var pool planPool
	p := pool.share(entitlement.Entitlement{APIAccess: true, ValidUntil: time.Date(300_000, 1, 1, 0, 0, 0, 0, time.UTC), Grace: 1<<63 - 1})
	if !p.active(cache.NewClock().Now()) {
		t.Error("a plan that ends in the year 300000 has no access now")
	}
}

// A plan that ended long ago has no access, however long ago that was.
func TestPlanThatEndedLongAgo(t *testing.T) {
	t.Parallel()
	for _, ended := range []time.Time{
		time.Time{}.Add(1), // less than a microsecond after the zero time, which means never
		time.Time{}.Add(-1),
		time.Date(-290_309, 1, 1, 0, 0, 0, 0, time.UTC),
		time.Unix(-9_223_372_036_856, 0), // in microseconds, it overflows to a time in the future
	} {
		var pool planPool
		p := pool.share(entitlement.Entitlement{APIAccess: true, ValidUntil: ended, Grace: 1<<63 - 1})
		if p.active(cache.NewClock().Now()) || p.clone().ValidUntil.IsZero() {
			t.Errorf("a plan that ended at %v: got the end %v, active = %t", ended, p.clone().ValidUntil, p.active(cache.NewClock().Now()))
		}
	}
}
