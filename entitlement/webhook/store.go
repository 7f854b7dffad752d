package webhook

import (
	"context"
	"time"

	"github.com/keyhatch/keyhatch/entitlement"
)

// A Store stores the reported subscriptions and holds, and the events. A Provider of
// package sqlprovider is one.
//
// Its methods may be called from many goroutines and must return when their
// context ends. If a method returns an error, the response is 503 and the billing
// system tries again. After a method has returned nil, its write survives a crash.
type Store interface {
	// Put stores s under its Owner and ID, unless the stored state is as new or
	// newer, by [entitlement.Subscription.Newer]. changed reports whether it
	// stored s; the handler needs it only with [Options.Refetch]. The Plan may
	// be empty if the status is Ended. An error that matches
	// [entitlement.ErrUnknownPlan] is not an outage: the event is rejected.
	Put(ctx context.Context, s entitlement.Subscription) (changed bool, err error)

	// PutHold does the same with a hold, by [entitlement.Hold.Newer].
	PutHold(ctx context.Context, h entitlement.Hold) (changed bool, err error)

	// IsProcessed reports whether MarkProcessed was called with the event's ID. A Store
	// may delete old IDs, since a repeated event does not replace a newer state.
	IsProcessed(ctx context.Context, event string) (bool, error)

	// MarkProcessed records the ID of an event that was processed at the given
	// instant, by the host's clock.
	MarkProcessed(ctx context.Context, event string, at time.Time) error

	// SaveRejected saves an event that could not be used, for review. It keeps
	// one entry for each ID, even if the event comes again. The body contains
	// personal data: do not keep it longer than needed.
	SaveRejected(ctx context.Context, event string, at time.Time, reason string, body []byte) error
}
