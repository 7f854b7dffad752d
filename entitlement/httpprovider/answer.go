package httpprovider

import (
	"time"

	"github.com/keyhatch/keyhatch/entitlement"
)

// An answer is what the service says of an owner. Pointers are nil for null and
// for what is missing.
type answer struct {
	Owner      *string               `json:"owner"`
	Plan       *string               `json:"plan"`
	ValidUntil *time.Time            `json:"valid_until"`
	Status     *entitlement.Status   `json:"status"`
	Override   *entitlement.Override `json:"override"`
}

// maxPlan bounds a name that is quoted in an error, in bytes.
const maxPlan = 256

// flaw is what is wrong with an answer that has the given fields, or empty.
func (a answer) flaw(has map[string]bool, owner string) string {
	switch {
	case a.Owner == nil:
		return "owner is missing"
	case *a.Owner != owner:
		return "it is about another owner"
	case !has["plan"]:
		return "plan is missing"
	case a.Plan == nil && (a.ValidUntil != nil || a.Status != nil || a.Override != nil):
		return "it says more than that there is no plan"
	case a.Plan == nil:
		return ""
	case *a.Plan == "" || len(*a.Plan) > maxPlan:
		return "plan is empty or too long"
	case !has["valid_until"]: // never must be said, not forgotten
		return "valid_until is missing"
	case a.ValidUntil != nil && a.ValidUntil.Truncate(time.Microsecond).IsZero(): // what Go makes of a time that was not set
		return "valid_until is the year 1"
	}
	return a.statusFlaw()
}

func (a answer) statusFlaw() string {
	if a.Status == nil {
		return ""
	}
	switch *a.Status {
	case entitlement.Active, entitlement.Ended:
		return ""
	case entitlement.PastDue:
		if a.ValidUntil == nil {
			return "it is past due since nobody knows when"
		}
		return ""
	}
	return "status is none of active, past_due and ended"
}

// resolve is what the owner is entitled to.
func (a answer) resolve(c *entitlement.Catalog, now time.Time) (entitlement.Entitlement, error) {
	if a.Plan == nil {
		return entitlement.Entitlement{}, entitlement.ErrNone
	}
	s := entitlement.Subscription{Owner: *a.Owner, Plan: *a.Plan, Status: entitlement.Active}
	if a.Status != nil {
		s.Status = *a.Status
	}
	if a.ValidUntil != nil {
		s.ValidUntil = a.ValidUntil.UTC().Truncate(time.Microsecond)
	}
	var o entitlement.Override
	if a.Override != nil {
		o = *a.Override
	}
	return c.Resolve([]entitlement.Subscription{s}, o, now)
}
