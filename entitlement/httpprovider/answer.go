package httpprovider

import (
	"time"

	"github.com/keyhatch/keyhatch/entitlement"
)

// An answer is the service's response about an owner. A pointer is nil if the
// field is null or missing.
type answer struct {
	Owner      *string               `json:"owner"`
	Plan       *string               `json:"plan"`
	ValidUntil *time.Time            `json:"valid_until"`
	Status     *entitlement.Status   `json:"status"`
	Override   *entitlement.Override `json:"override"`
}

// maxPlan bounds the plan's name, which errors may quote, in bytes.
const maxPlan = 256

// flaw returns what is wrong with an answer that has the given fields, or "".
func (a answer) flaw(has map[string]bool, owner string) string {
	switch {
	case a.Owner == nil:
		return "owner is missing"
	case *a.Owner != owner:
		return "owner is another one than in the request"
	case !has["plan"]:
		return "plan is missing"
	case a.Plan == nil && (a.ValidUntil != nil || a.Status != nil || a.Override != nil):
		return "there are other fields although plan is null"
	case a.Plan == nil:
		return ""
	case *a.Plan == "" || len(*a.Plan) > maxPlan:
		return "plan is empty or longer than 256 bytes"
	case !has["valid_until"]: // null must be explicit, so that a forgotten field does not mean never
		return "valid_until is missing"
	case a.ValidUntil != nil && a.ValidUntil.Truncate(time.Microsecond).IsZero(): // the zero time.Time of a Go service
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
			return "status past_due needs a valid_until"
		}
		return ""
	}
	return "status is not active, past_due or ended"
}

// resolve returns what the owner is entitled to.
func (a answer) resolve(c *entitlement.Catalog, now time.Time) (entitlement.Entitlement, error) {
	if a.Plan == nil {
		return entitlement.Entitlement{}, entitlement.ErrNone
	}
	s := entitlement.Subscription{Owner: *a.Owner, Plan: *a.Plan, Status: entitlement.Active}
	if a.Status != nil {
		s.Status = *a.Status
	}
	if a.ValidUntil != nil {
		s.PeriodEnd = a.ValidUntil.UTC().Truncate(time.Microsecond)
	}
	var o entitlement.Override
	if a.Override != nil {
		o = *a.Override
	}
	return c.Resolve([]entitlement.Subscription{s}, o, now)
}
