package entitlement

import (
	"cmp"
	"time"
)

// A Status is the state of a [Subscription].
type Status string

const (
	// Active means paid for until PeriodEnd. A subscription that was cancelled at the
	// end of its period stays Active until then, with CancelAtPeriodEnd.
	Active Status = "active"

	// Trialing means on trial until PeriodEnd. It grants what Active grants, but
	// a subscription that was paid for counts before it; see [Catalog.Resolve].
	Trialing Status = "trialing"

	// PastDue means that the last payment failed. PeriodEnd is the end of the
	// last paid period, so the owner keeps access for the plan's Grace after
	// it. Without a PeriodEnd, a PastDue subscription grants nothing.
	PastDue Status = "past_due"

	// Ended grants nothing.
	Ended Status = "ended"
)

// Valid reports whether s is one of the constants.
func (s Status) Valid() bool {
	return s == Active || s == Trialing || s == PastDue || s == Ended
}

// A Subscription is the state of something that an owner has bought or was granted, as the
// billing system or the host reports it. It is always the complete state, so a newer one
// can replace an older one.
type Subscription struct {
	Owner  string
	Source string // the billing system, such as "stripe"; empty for one that the host grants itself
	ID     string // unique for the Source or, without one, for the owner; may then be empty
	Plan   string // name of the plan in the [Catalog]
	Status Status

	// Customer is the billing system's ID of the customer. It may be empty.
	Customer string

	StartedAt   time.Time // when it began
	PeriodStart time.Time // when the last paid period began; zero means unknown
	PeriodEnd   time.Time // when the last paid period or the trial ends, exactly as the billing system reports it; zero means never
	UpdatedAt   time.Time // when this state began, by the clock of the billing system or, without a Source, of the host

	// CancelAtPeriodEnd reports whether the subscription will not be renewed: it ends at
	// PeriodEnd, without the plan's Grace. It has no effect unless the Status is Active or
	// Trialing.
	CancelAtPeriodEnd bool

	// Version orders states with the same UpdatedAt: the higher one is newer.
	Version int64
}

// Newer reports whether s is newer than old, which must be a state of the same
// subscription. A newer state replaces an older one.
func (s Subscription) Newer(old Subscription) bool { return s.compareAge(old) > 0 }

func (s Subscription) compareAge(t Subscription) int {
	return cmp.Or(s.UpdatedAt.Compare(t.UpdatedAt), cmp.Compare(s.Version, t.Version))
}

// isSameState reports whether s and t grant the same.
func (s Subscription) isSameState(t Subscription) bool {
	return s.Plan == t.Plan && s.Status == t.Status && s.StartedAt.Equal(t.StartedAt) &&
		s.PeriodStart.Equal(t.PeriodStart) && s.PeriodEnd.Equal(t.PeriodEnd) && s.CancelAtPeriodEnd == t.CancelAtPeriodEnd
}

// renewalLeeway is how long after a period the event of its renewal may arrive. It usually
// arrives within seconds, but later if it had to be sent again.
const renewalLeeway = time.Hour

// leeway returns how long s continues after PeriodEnd because the event of its renewal may be
// late. A subscription that the host grants itself has none, since no event renews it.
func (s Subscription) leeway() time.Duration {
	if s.Source == "" || s.CancelAtPeriodEnd || s.hasFailedRenewal() {
		return 0
	}
	return renewalLeeway
}

// hasFailedRenewal reports whether the payment for the next period has failed. A subscription
// remains Trialing after its trial if the first payment has failed.
func (s Subscription) hasFailedRenewal() bool {
	return s.Status == PastDue || s.Status == Trialing && !s.UpdatedAt.Before(s.PeriodEnd)
}

// grace returns how long s continues after PeriodEnd, if its plan has the given Grace. The result
// includes the leeway.
func (s Subscription) grace(plan time.Duration) time.Duration {
	if s.CancelAtPeriodEnd && s.Status != PastDue {
		return 0
	}
	return min(max(plan, 0)+s.leeway(), MaxGrace)
}

func (s Subscription) owner() string { return s.Owner }

func (s Subscription) key() stateKey { return stateKey{s.Source, s.ID} }
