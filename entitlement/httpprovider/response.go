package httpprovider

import (
	"errors"
	"time"

	"github.com/keyhatch/keyhatch/entitlement"
	"github.com/keyhatch/keyhatch/internal/strictjson"
)

// A response is the JSON document that the service returns about an owner. A pointer
// is nil if the field is null or missing.
type response struct {
	Owner      *string               `json:"owner"`
	Plan       *string               `json:"plan"`
	ValidUntil *time.Time            `json:"valid_until"`
	Status     *entitlement.Status   `json:"status"`
	Override   *entitlement.Override `json:"override"`
}

// maxDepth is the maximum nesting of objects and lists. A response needs three levels.
const maxDepth = 8

// maxPlan bounds the plan's name, which errors may quote, in bytes.
const maxPlan = 256

// parse reads a response and checks that it is about the owner. Its errors do not
// quote the body, which may contain anything.
func parse(body []byte, owner string) (response, error) {
	rules := strictjson.Rules{MaxDepth: maxDepth}
	var r response
	fields, err := strictjson.Parse(body, rules)
	if err == nil {
		err = strictjson.Decode(body, &r, rules)
	}
	if err != nil {
		return response{}, errors.New("the response is not a JSON object of the documented fields, each at most once and of the right type")
	}
	if fault := r.fault(fields, owner); fault != "" {
		return response{}, errors.New("the response is invalid: " + fault)
	}
	return r, nil
}

// fault returns the first fault of a response with the given fields, or "".
func (r response) fault(fields map[string]any, owner string) string {
	switch {
	case r.Owner == nil:
		return "owner is missing"
	case *r.Owner != owner:
		return "owner is not the one in the request"
	case !contains(fields, "plan"):
		return "plan is missing"
	case r.Plan == nil && (r.ValidUntil != nil || r.Status != nil || r.Override != nil):
		return "there are other fields although plan is null"
	case r.Plan == nil:
		return ""
	case *r.Plan == "" || len(*r.Plan) > maxPlan:
		return "plan is empty or longer than 256 bytes"
	case !contains(fields, "valid_until"): // null must be explicit, so that a forgotten field does not mean never
		return "valid_until is missing"
	case r.ValidUntil != nil && r.ValidUntil.Truncate(time.Microsecond).IsZero(): // the zero time.Time of a Go service
		return "valid_until is the year 1"
	}
	return r.statusFault()
}

func contains(fields map[string]any, name string) bool {
	_, ok := fields[name]
	return ok
}

func (r response) statusFault() string {
	if r.Status == nil {
		return ""
	}
	switch *r.Status {
	case entitlement.Active, entitlement.Ended:
		return ""
	case entitlement.PastDue:
		if r.ValidUntil == nil {
			return "status past_due needs a valid_until"
		}
		return ""
	}
	return "status is not active, past_due or ended"
}

// resolve returns the owner's entitlement.
func (r response) resolve(c *entitlement.Catalog, now time.Time) (entitlement.Entitlement, error) {
	if r.Plan == nil {
		return entitlement.Entitlement{}, entitlement.ErrNone
	}
	s := entitlement.Subscription{Owner: *r.Owner, Plan: *r.Plan, Status: entitlement.Active}
	if r.Status != nil {
		s.Status = *r.Status
	}
	if r.ValidUntil != nil {
		s.PeriodEnd = r.ValidUntil.UTC().Truncate(time.Microsecond)
	}
	var o entitlement.Override
	if r.Override != nil {
		o = *r.Override
	}
	return c.Resolve(entitlement.Purchases{Subscriptions: []entitlement.Subscription{s}, Override: o}, now)
}
