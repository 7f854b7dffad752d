package entitlement

import (
	"cmp"
	"slices"
	"time"
)

// A Status is what a [Subscription] is, as far as it matters here.
type Status string

const (
	// Active is paid for, or on trial, until ValidUntil. So is one that has
	// been cancelled, for as long as the period lasts.
	Active Status = "active"

	// PastDue is one whose last payment has failed. ValidUntil is the end of
	// the period that was paid, so that what remains is the plan's Grace.
	// Without one it grants nothing.
	PastDue Status = "past_due"

	// Ended grants nothing.
	Ended Status = "ended"

	// Held is no subscription but a hold, which takes access away: a payment that is in
	// dispute, or was paid back. It ends all of the owner's that began no later
	// than its Since, or all whatever where that is zero, until it is Ended
	// itself. With a PaidFrom it ends those of which what was paid for last began
	// no later than that, so that a renewal is not held. It has an ID of its own.
	Held Status = "held"
)

// Valid reports whether s is one of the constants.
func (s Status) Valid() bool {
	return s == Active || s == PastDue || s == Ended || s == Held
}

// A Subscription is what a billing system says that an owner has bought. It is
// always the whole of what it said last, so that of two the newer one can simply
// take the place of the older.
type Subscription struct {
	Owner  string
	ID     string // the billing system's, one for each of the owner's; may be empty for what the host grants itself
	Plan   string // its name in the [Catalog]
	Status Status

	Since      time.Time // when it began
	PaidFrom   time.Time // when what was paid for last began; zero means not known
	ValidUntil time.Time // the end of what was paid for; zero means never
	UpdatedAt  time.Time // since when it is so, by the billing system's clock

	// Version tells apart what has the same UpdatedAt: the higher is newer.
	Version int64
}

// Newer reports whether s takes the place of old, another state of the same
// subscription.
func (s Subscription) Newer(old Subscription) bool { return s.age(old) > 0 }

func (s Subscription) age(t Subscription) int {
	return cmp.Or(s.UpdatedAt.Compare(t.UpdatedAt), cmp.Compare(s.Version, t.Version))
}

// says reports whether two states say the same.
func (s Subscription) says(t Subscription) bool {
	return s.Plan == t.Plan && s.Status == t.Status && s.Since.Equal(t.Since) &&
		s.PaidFrom.Equal(t.PaidFrom) && s.ValidUntil.Equal(t.ValidUntil)
}

// over reports whether s grants nothing any more, whatever the time. What is past
// due since nobody knows when would otherwise be so for ever.
func (s Subscription) over(all []Subscription) bool {
	granted := s.Status == Active || s.Status == PastDue && !s.ValidUntil.IsZero()
	return !granted || slices.ContainsFunc(all, s.heldBy)
}

// heldBy reports whether h takes away what s grants. What has no Since may have
// begun before anything, and a hold after everything.
func (s Subscription) heldBy(h Subscription) bool {
	began, held := s.Since, h.Since
	if !h.PaidFrom.IsZero() {
		began, held = s.PaidFrom, h.PaidFrom
		if began.IsZero() {
			began = s.Since // the first period, or a later one
		}
	}
	return h.Status == Held && (held.IsZero() || !began.After(held))
}
