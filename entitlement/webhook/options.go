package webhook

import (
	"context"
	"log/slog"
	"slices"

	"github.com/keyhatch/keyhatch/entitlement"
)

// Options configure a [Handler]. The functions are called from many goroutines
// and must return when their context ends. If a function other than Changed returns an
// error, the response is 503 and the billing system tries again, unless the error matches
// [*entitlement.InvalidError]: then the event is rejected.
type Options struct {
	// Owner returns the owner of the event's subscription. It must always return the same
	// owner for the same subscription. An empty owner means that the event does not name
	// the owner: then the owner of the customer's other subscriptions counts. If there are
	// none, or if they have several owners, the event is rejected, unless it ends the
	// subscription. Nil means [MetadataOwner], which Owner may call. Owner is not called for
	// payments, refunds and disputes, since they belong to a subscription.
	//
	// The host's own server must write the metadata when it creates the checkout. Do
	// not use a payment link that takes metadata from its URL: the buyer can change the
	// URL.
	Owner func(ctx context.Context, e Event) (string, error)

	// Ignore reports whether the event must change nothing, for example a refund that is
	// a courtesy, after which the customer keeps access. The response is then 200. Nil
	// means that every event counts.
	Ignore func(ctx context.Context, e Event) (bool, error)

	// Accounts lists further accounts whose events are accepted: Stripe's connected
	// accounts or accounts of an organization ("acct_…"), Polar's organizations, or
	// Dodo's businesses. Nil means only the account of the [Source]. A listed
	// account can grant plans to every owner, so list only your own.
	Accounts []string

	// InsecureTestMode accepts events of Stripe's test mode and sandboxes, in which
	// nobody pays. Set it in development only.
	InsecureTestMode bool

	// Changed is called after each write, so that the write takes effect at once. Set it
	// to Manager.InvalidateOwner. The write is durable by then: if Changed fails, for
	// example because the bus is down, the error is logged and the response is 200. The
	// context of Changed ends after half of the time that the Handler has left, which is
	// at most 4 seconds.
	//
	// If Changed is nil or has not reached an instance, the instance uses the old plan until
	//   - the provider's Watch reports the change: about a second for a sqlprovider,
	//   - the bus is back, which carries the message later, or
	//   - the cached plan expires: 13 seconds after the bus was lost, or without a bus
	//     after the longer of the Manager's CacheTTL and StaleIfError.
	//
	// If the event comes again, Changed is called again.
	Changed func(ctx context.Context, owner string) error

	// Refetch returns the current state of the event's subscription from the
	// billing system. If it is set, the state in the event itself is not used.
	// Refetch is called again for the same event if the state may have changed
	// meanwhile. Nil means that the state in the event is used. Refunds and disputes
	// are not refetched.
	//
	// The state is stored as of the time before the call, by the host's clock.
	// Plan is the catalog's name of the plan. PeriodEnd is the one that the billing system
	// reports; set CancelAtPeriodEnd if it is the last one. UpdatedAt and Version are
	// ignored, and an empty ID, Owner or Customer is taken from the event. For Dodo, set
	// PeriodStart: it tells which payments are for the current period. The example of
	// [Handler.Reconcile] has the statuses of Stripe.
	//
	// Do not set Refetch back to nil in a running system: stored times of the
	// host's clock and times of the billing system's clock would be compared.
	Refetch func(ctx context.Context, e Event) (entitlement.Subscription, error)

	// Logger logs refused requests, rejected events, and failures, with the reason, and
	// refunds whose payment is not stored. Nil discards the log, so set it, for example to
	// slog.Default().
	Logger *slog.Logger
}

func (o *Options) withDefaults() Options {
	var d Options
	if o != nil {
		d = *o
	}
	d.Accounts = slices.Clone(d.Accounts)
	if d.Ignore == nil {
		d.Ignore = func(context.Context, Event) (bool, error) { return false, nil }
	}
	if d.Changed == nil {
		d.Changed = func(context.Context, string) error { return nil }
	}
	if d.Logger == nil {
		d.Logger = slog.New(slog.DiscardHandler)
	}
	return d
}
