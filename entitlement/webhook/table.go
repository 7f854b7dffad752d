package webhook

import (
	"context"
	"time"

	"github.com/keyhatch/keyhatch/entitlement"
)

// A Table keeps what the events say. sqlprovider has one.
//
// Its methods are called from many goroutines, and must come to an end when
// their context does. An error is an outage: the sender is asked to try again.
// When a method returns nil, what it wrote survives a crash.
type Table interface {
	// Put stores s under its Owner and ID, unless what is there is as new or
	// newer, by [entitlement.Subscription.Newer]. Changed reports whether it was
	// stored, which the handler looks at where there is an [Options.Refetch]. The Plan of one that has ended, or
	// is Held, may be empty. An error that matches [entitlement.ErrUnknownPlan] is
	// no outage: the event is kept.
	Put(ctx context.Context, s entitlement.Subscription) (changed bool, err error)

	// Seen reports whether MarkSeen was called with the event's id. It may
	// forget: an event that comes again changes nothing that is newer.
	Seen(ctx context.Context, event string) (bool, error)

	// MarkSeen remembers an event's id. At is when it was dealt with, by the
	// host's clock.
	MarkSeen(ctx context.Context, event string, at time.Time) error

	// KeepRefused keeps an event that could not be used, for people to look
	// at: once for each id, however often it comes. It must not keep the body
	// itself, which has personal data, for longer than it is needed.
	KeepRefused(ctx context.Context, event string, at time.Time, reason string, body []byte) error
}
