// Package limit counts the units that owners use, and refuses those above a limit.
//
// A [Rule] says how many units an owner may use in any window of a length: "60 in a minute"
// admits at most 60 units in each minute, wherever the minute begins. Counters that start again
// at each full minute admit twice as many around it; a [Limiter] of this package does not.
//
// A unit is usually a request. A call of [Limiter.Take] asks several rules at once, and takes from
// all of them or from none.
//
// [Local] counts within one process. Package apikey does not call a Limiter yet, so a service
// calls Take itself, for example with the owner of the Principal.
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
	MaxRules  = 16            // rules of an owner
	MaxUnits  = 1_000_000_000 // Units of a rule
	MinWindow = time.Second
	MaxWindow = time.Hour
)

// An InvalidError reports a rule, an option or an argument outside its bounds.
type InvalidError struct {
	Rule   string // name of the rule; empty if no single rule is at fault
	Field  string // field, option or argument, such as "Units", "MaxOwners" or "cost"
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
	case r.Name == "" || len(r.Name) > 32 || strings.ContainsFunc(r.Name, isNotInName):
		return &InvalidError{Rule: r.Name, Field: "Name", Reason: "must be 1 to 32 characters of a-z, 0-9, - and _"}
	case r.Units < 1 || r.Units > MaxUnits:
		return &InvalidError{Rule: r.Name, Field: "Units", Reason: fmt.Sprintf("must be 1 to %d, got %d", MaxUnits, r.Units)}
	case r.Window < MinWindow || r.Window > MaxWindow:
		return &InvalidError{Rule: r.Name, Field: "Window", Reason: fmt.Sprintf("must be %v to %v, got %v", MinWindow, MaxWindow, r.Window)}
	}
	return nil
}

func isNotInName(c rune) bool {
	return (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_'
}

// A Decision is the result of a Take.
type Decision struct {
	// Allowed reports whether the units were taken.
	Allowed bool

	// Rule is the index of the rule that refused, or else of the rule with the fewest units left.
	// It is -1 without rules.
	Rule int

	// Remaining is the number of units that this rule still admits after the Take.
	Remaining int64

	// RetryAfter is the time after which the same Take would be allowed, if no other units are
	// taken meanwhile. It is zero if Allowed is set, and [Never] if the cost is above the limit.
	RetryAfter time.Duration

	// Receipt is for [Limiter.Settle], if Allowed is set.
	Receipt Receipt
}

// Never is the RetryAfter of a cost that is above the Units of the rule.
const Never time.Duration = -1

// A Receipt identifies the units of a Take. It is only valid for the Limiter that returned it, and
// not after a restart.
type Receipt struct {
	at   time.Duration // when they were taken, since the start of the limiter
	cost int64
}

// ErrFull is returned by Take and Settle if the limiter does not count the owner's units yet and
// has no room for another owner; see [LocalOptions]. Nothing was taken.
var ErrFull = errors.New("limit: too many owners have used units lately")

// A Limiter counts the units of owners. Its methods may be called from many goroutines.
type Limiter interface {
	// Take takes cost units from each of the rules, or from none if one refuses. The rules must
	// have passed [Check]. The owner keeps the counts of a rule while its name stays the same, even
	// if its Units or its Window change. A cost of zero takes nothing, and is refused if no unit
	// is left. A refusal is a Decision and not an error. Take returns an [*InvalidError] for a
	// negative cost, and any other error, such as [ErrFull], if the units cannot be counted.
	Take(ctx context.Context, owner string, rules []Rule, cost int64) (Decision, error)

	// Settle corrects an earlier Take of the same owner and rules that was allowed, if the units
	// that were used differ from its cost. If fewer were used, Settle gives the difference back to
	// the window in which it was taken. If more were used, Settle takes the difference now, even
	// if that exceeds the limit. Call it at most once for each receipt. Settle returns an
	// [*InvalidError] if used is negative, and any other error if the units cannot be counted.
	Settle(ctx context.Context, owner string, rules []Rule, receipt Receipt, used int64) error

	// Peek appends to remaining the units that each rule still admits, in the order of the rules.
	// It takes nothing. It returns an error if the units cannot be counted.
	Peek(ctx context.Context, owner string, rules []Rule, remaining []int64) ([]int64, error)
}
