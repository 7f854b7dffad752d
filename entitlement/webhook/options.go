package webhook

import (
	"context"
	"log/slog"

	"github.com/keyhatch/keyhatch/entitlement"
)

// Options are what [New] does not need. The functions are called from many
// goroutines, and must come to an end when their context does. An error of theirs
// is an outage: the sender is asked to try again. That is except [ErrIgnore], which
// Owner alone may return.
type Options struct {
	// Owner says whose the event is, and nil looks in its metadata, under
	// "owner", then in that of the customer, and then takes Polar's external
	// id of the customer. An empty one means that it is not known, which is
	// refused. For one subscription it must always be the same.
	//
	// Whoever can name another owner can end that owner's plan with a refund.
	// So metadata must be what the host's own server put there when it made the
	// checkout; a payment link that takes it from its address lets the buyer
	// write it.
	Owner func(ctx context.Context, e Event) (string, error)

	// Changed is called after each write, and again when an event comes again
	// that was not dealt with to the end: set it to Manager.OwnerChanged. Nil
	// leaves it to the provider's Watch, if it has one, or to the Manager's
	// CacheTTL.
	Changed func(ctx context.Context, owner string) error

	// Refetch asks the billing system for the subscription, when an event says
	// that it has changed. What it returns is stored as of the time before it
	// was called, by the host's clock, and the event's own account is not
	// looked at. Plan is the catalog's name, not the product's; UpdatedAt and
	// Version are not looked at, and an ID or Owner that is empty is the event's.
	// Without a Since any refund or dispute takes the plan away, whenever it was
	// bought. Refunds and disputes are not asked for. Nil believes the events.
	//
	// Once it is in use, going back to nil mixes two clocks.
	Refetch func(ctx context.Context, e Event) (entitlement.Subscription, error)

	// Logger is told what is refused, and why. Nil discards it.
	Logger *slog.Logger
}

func (o *Options) withDefaults() Options {
	var d Options
	if o != nil {
		d = *o
	}
	if d.Owner == nil {
		d.Owner = defaultOwner
	}
	if d.Changed == nil {
		d.Changed = func(context.Context, string) error { return nil }
	}
	if d.Logger == nil {
		d.Logger = slog.New(slog.DiscardHandler)
	}
	return d
}
