package entitlement

import (
	"cmp"
	"time"
)

// A Hold takes an owner's access away by the host's decision, for example after abuse. It
// lasts until it is released. A refund or dispute is a [Reversal] instead, which ends only
// what its payment paid for. Like a [Subscription], a Hold is always the complete state, so
// a newer one can replace an older one.
//
// A hold ends the subscriptions of the owner, from every Source, that began no later than
// its StartedAt. If it has a PeriodStart, the hold instead ends the subscriptions whose
// last paid period began no later than the PeriodStart. So a hold with a PeriodStart does
// not end a later renewal.
type Hold struct {
	Owner string
	ID    string // unique among the owner's holds and the subscriptions without a Source

	StartedAt   time.Time // zero means later than every subscription
	PeriodStart time.Time // zero means that StartedAt counts
	Released    bool      // the hold ends nothing any more
	UpdatedAt   time.Time // when this state began, by the host's clock

	// Version orders states with the same UpdatedAt: the higher one is newer.
	Version int64
}

// Newer reports whether h is newer than old, which must be a state of the same hold. A
// newer state replaces an older one.
func (h Hold) Newer(old Hold) bool { return h.compareAge(old) > 0 }

func (h Hold) compareAge(g Hold) int {
	return cmp.Or(h.UpdatedAt.Compare(g.UpdatedAt), cmp.Compare(h.Version, g.Version))
}

// isSameState reports whether h and g end the same.
func (h Hold) isSameState(g Hold) bool {
	return h.Released == g.Released && h.StartedAt.Equal(g.StartedAt) && h.PeriodStart.Equal(g.PeriodStart)
}

func (h Hold) owner() string { return h.Owner }

func (h Hold) key() stateKey { return stateKey{id: h.ID} }

// ends reports whether h ends s. A subscription without StartedAt began before
// every hold.
func (h Hold) ends(s Subscription) bool {
	began, held := s.StartedAt, h.StartedAt
	if !h.PeriodStart.IsZero() {
		began, held = s.PeriodStart, h.PeriodStart
		if began.IsZero() {
			began = s.StartedAt // the last paid period began then or later
		}
	}
	return !h.Released && (held.IsZero() || !began.After(held))
}
