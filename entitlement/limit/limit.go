// Package limit counts the units that owners use, and refuses those above a limit.
//
// A [Rule] says how many units an owner may use in any window of a length: "60 in a minute"
// admits at most 60 units in each minute, wherever the minute begins. Counters that start again
// at each full minute admit twice as many around it; a [Limiter] of this package does not.
//
// A unit is usually a request. A call of [Limiter.Take] asks several rules at once, and takes from
// all of them or from none.
//
// [Local] counts within one process.
package limit

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// A Rule limits the units of an owner. The same owner may have several rules with different
// names, such as a burst in a minute and a total in an hour.
type Rule struct {
	// Name identifies the rule among those of an owner: 1 to 32 characters of a-z, 0-9, - and _.
	Name string

	// Units is the maximum in any window: 1 to [MaxUnits].
	Units int64

	// Window is the length of the window: [MinWindow] to [MaxWindow].
	Window time.Duration
}

// Bounds of rules.
const (
	MaxRules  = 16            // of an owner
	MaxUnits  = 1_000_000_000 // of a rule
	MinWindow = time.Second
	MaxWindow = time.Hour
)

// An InvalidError reports a rule or a cost outside its bounds.
type InvalidError struct {
	Rule   string // name of the rule; empty if no single rule is at fault
	Field  string
	Reason string
}

func (e *InvalidError) Error() string {
	if e.Rule == "" {
		return fmt.Sprintf("limit: invalid %s: %s", e.Field, e.Reason)
	}
	return fmt.Sprintf("limit: rule %q: invalid %s: %s", e.Rule, e.Field, e.Reason)
}

// Check returns an [*InvalidError] if rules cannot be the rules of one owner: if there are more
// than [MaxRules], two have the same name, or one is outside its bounds. Call it when rules are
// loaded. A Limiter does not check the rules of each call.
func Check(rules []Rule) error {
	if len(rules) > MaxRules {
		return &InvalidError{Field: "rules", Reason: fmt.Sprintf("must be at most %d, got %d", MaxRules, len(rules))}
	}
	names := map[string]bool{}
	for _, r := range rules {
		if err := r.check(); err != nil {
			return err
		}
		if names[r.Name] {
			return &InvalidError{Rule: r.Name, Field: "Name", Reason: "must not be the name of two rules"}
		}
		names[r.Name] = true
	}
	return nil
}

func (r Rule) check() error {
	switch {
	case r.Name == "" || len(r.Name) > 32 || strings.Trim(r.Name, "abcdefghijklmnopqrstuvwxyz0123456789-_") != "":
		return &InvalidError{Rule: r.Name, Field: "Name", Reason: "must be 1 to 32 characters of a-z, 0-9, - and _"}
	case r.Units < 1 || r.Units > MaxUnits:
		return &InvalidError{Rule: r.Name, Field: "Units", Reason: fmt.Sprintf("must be 1 to %d, got %d", MaxUnits, r.Units)}
	case r.Window < MinWindow || r.Window > MaxWindow:
		return &InvalidError{Rule: r.Name, Field: "Window", Reason: fmt.Sprintf("must be %v to %v, got %v", MinWindow, MaxWindow, r.Window)}
	}
	return nil
}

// A Decision is the result of a Take.
type Decision struct {
	// Allowed reports whether the units were taken.
	Allowed bool

	// Rule is the index of the rule that refused, or else of the rule with the fewest units left.
	// It is -1 without rules.
	Rule int

	// Remaining is the number of units that this rule still admits.
	Remaining int64

	// RetryAfter is the time after which the same Take would be allowed, if no other units are
	// taken meanwhile. It is zero if Allowed is set, and [Never] if the cost is above the limit.
	RetryAfter time.Duration

	// Receipt is for [Limiter.Settle].
	Receipt Receipt
}

// Never is the RetryAfter of a cost that the rule never admits.
const Never time.Duration = -1

// A Receipt identifies the units of a Take.
type Receipt struct {
	at   time.Duration // when they were taken
	cost int64
}

// ErrFull is returned for an owner whose units cannot be counted, because the limiter counts those
// of as many other owners as it has room for. Nothing was taken.
var ErrFull = errors.New("limit: too many owners have used units lately")

// A Limiter counts the units of owners. Its methods may be called from many goroutines.
type Limiter interface {
	// Take takes cost units from each of the rules, or from none if one refuses. The rules must
	// have passed [Check]. The owner has the same counts for a name, even if Units change. A
	// cost of zero takes nothing, and is refused if no unit is left. Take returns an
	// [*InvalidError] for a negative cost, and any other error if the units cannot be counted.
	Take(ctx context.Context, owner string, rules []Rule, cost int64) (Decision, error)

	// Settle corrects an earlier Take of the same owner and rules that was allowed, when used units
	// instead of its cost were needed. It gives the rest back, or takes what is missing even
	// if that exceeds the limit, since it has been used. What is given back can be used in the
	// window in which it was taken. Call it at most once for each receipt.
	Settle(ctx context.Context, owner string, rules []Rule, receipt Receipt, used int64) error

	// Peek returns the units that each rule still admits. It appends them to remaining.
	Peek(ctx context.Context, owner string, rules []Rule, remaining []int64) ([]int64, error)
}
