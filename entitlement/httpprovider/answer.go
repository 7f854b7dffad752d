package httpprovider

import (
	"errors"
	"time"

	"github.com/keyhatch/keyhatch/entitlement"
	"github.com/keyhatch/keyhatch/internal/strictjson"
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

// maxDepth is the maximum nesting of objects and lists. An answer needs three levels.
const maxDepth = 8

// maxPlan bounds the plan's name, which errors may quote, in bytes.
const maxPlan = 256

// parse reads an answer and checks that it is about the owner. Its errors do not
// quote the body, which may contain anything.
func parse(body []byte, owner string) (answer, error) {
	rules := strictjson.Rules{MaxDepth: maxDepth}
	var a answer
	has, err := strictjson.Parse(body, rules)
	if err == nil {
		err = strictjson.Decode(body, &a, rules)
	}
	if err != nil {
		return answer{}, errors.New("the response is not a JSON object of the documented fields, each at most once and of the right type")
	}
	if flaw := a.flaw(has, owner); flaw != "" {
		return answer{}, errors.New("the response is invalid: " + flaw)
	}
	return a, nil
}

// flaw returns what is wrong with an answer that has the given fields, or "".
func (a answer) flaw(has map[string]any, owner string) string {
	switch {
	case a.Owner == nil:
		return "owner is missing"
	case *a.Owner != owner:
		return "owner is another one than in the request"
	case !contains(has, "plan"):
		return "plan is missing"
	case a.Plan == nil && (a.ValidUntil != nil || a.Status != nil || a.Override != nil):
		return "there are other fields although plan is null"
	case a.Plan == nil:
		return ""
	case *a.Plan == "" || len(*a.Plan) > maxPlan:
		return "plan is empty or longer than 256 bytes"
	case !contains(has, "valid_until"): // null must be explicit, so that a forgotten field does not mean never
		return "valid_until is missing"
	case a.ValidUntil != nil && a.ValidUntil.Truncate(time.Microsecond).IsZero(): // the zero time.Time of a Go service
		return "valid_until is the year 1"
	}
	return a.statusFlaw()
}

func contains(has map[string]any, name string) bool {
	_, ok := has[name]
	return ok
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
