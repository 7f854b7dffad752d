package entitlement

import (
	"errors"
	"fmt"
)

// Limits are how much an owner may use the API, over all keys together: five
// keys do not have five allowances. They are for a rate limiter, which finds them
// in the Principal. Negative means no limit.
//
// The zero Limits mean that the plan does not say. In a [Catalog] a plan names
// both or none, since a single zero could be meant as no limit or as nothing at
// all. Where an [Override] adds one of them to a plan without limits, the other
// is still zero, and not said.
type Limits struct {
	PerMinute int // requests in any minute: the burst
	PerDay    int // requests in a day: the allowance
}

// check finds limits that cannot be meant.
func (l Limits) check() error {
	switch {
	case l == Limits{}:
		return nil
	case l.PerMinute == 0:
		return errors.New("limits: per_minute is 0: want a number, or a negative one for no limit")
	case l.PerDay == 0:
		return errors.New("limits: per_day is 0: want a number, or a negative one for no limit")
	case l.PerMinute > 0 && l.PerDay > 0 && l.PerMinute > l.PerDay:
		return fmt.Errorf("limits: %d a minute are more than %d a day", l.PerMinute, l.PerDay)
	case l.PerMinute > 0 && l.PerDay > 0 && (l.PerDay-1)/(24*60) >= l.PerMinute:
		return fmt.Errorf("limits: %d a day cannot be had at %d a minute", l.PerDay, l.PerMinute)
	}
	return nil
}
