package entitlement

import (
	"errors"
	"fmt"
)

// Limits hold how many requests an owner may make. They apply to all keys of
// the owner together: an owner with five keys has one allowance, not five. A
// rate limiter finds them in the Principal. Negative means no limit.
//
// The zero Limits mean that the plan does not set any. A plan of a [Catalog]
// must set both or neither, since a single zero could mean no limit or no
// requests. If an [Override] sets one of them for a plan without limits, the
// other one stays zero, which means not set.
type Limits struct {
	PerMinute int // requests per minute: the burst
	PerDay    int // requests per day: the allowance
}

// check returns an error if only one limit is set or the two contradict each
// other.
func (l Limits) check() error {
	switch {
	case l == Limits{}:
		return nil
	case l.PerMinute == 0:
		return errors.New("limits: per_minute is 0: want a positive number, or a negative one for no limit")
	case l.PerDay == 0:
		return errors.New("limits: per_day is 0: want a positive number, or a negative one for no limit")
	case l.PerMinute > 0 && l.PerDay > 0 && l.PerMinute > l.PerDay:
		return fmt.Errorf("limits: per_minute (%d) is greater than per_day (%d)", l.PerMinute, l.PerDay)
	case l.PerMinute > 0 && l.PerDay > 0 && (l.PerDay-1)/(24*60) >= l.PerMinute:
		return fmt.Errorf("limits: per_day (%d) cannot be reached at per_minute (%d)", l.PerDay, l.PerMinute)
	}
	return nil
}
