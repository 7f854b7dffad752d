package webhook

import (
	"context"
	"log/slog"
	"slices"

	"github.com/keyhatch/keyhatch/entitlement"
)

// Options configure a [Handler]. The functions are called from many goroutines
// and must return when their context ends. If one other than Changed returns an
// error, the response is 503 and the billing system tries again. Only Owner may
// return [ErrIgnore].
type Options struct {
	// Owner returns the owner of the event's subscription. It must always
	// return the same owner for the same subscription. An empty owner means
	// that it is unknown; the event is then rejected. Nil means metadata "owner"
	// of the event, then of the customer, and then Polar's external ID of the
	// customer.
	//
	// Anyone who can choose the owner can end another owner's plan with a
	// refund. So the host's own server must write the metadata when it creates
	// the checkout. Do not use a payment link that takes metadata from its URL: the
	// buyer can change the URL.
	Owner func(ctx context.Context, e Event) (string, error)

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
	// An instance that Changed has not reached, and every instance if Changed is nil,
	// uses the old plan until
	//   - the provider's Watch reports the change: about a second for a sqlprovider,
	//   - the bus is back, which carries the message later, or
	//   - the cached plan expires: 13 seconds after the bus was lost, or without a bus
	//     after the longer of the Manager's CacheTTL and StaleIfError.
	//
	// The event is marked as processed after the call of Changed. If the event comes
	// again because the process or the Store failed before the mark, Changed is called
	// again. After the mark, Changed is not called again for the event, even if
	// Changed has failed.
	Changed func(ctx context.Context, owner string) error

	// Refetch returns the current state of the event's subscription from the
	// billing system. If it is set, the state in the event itself is not used.
	// Refetch is called again for the same event if the state may have changed
	// meanwhile. Nil means that the state in the event is used. Refunds and disputes
	// are not refetched.
	//
	// The state is stored as of the time before the call, by the host's clock.
	// Plan is the catalog's name of the plan. UpdatedAt and Version are
	// ignored. An empty ID or Owner is taken from the event. Set StartedAt: without
	// it, every refund or dispute ends the plan, no matter when the plan was
	// bought.
	//
	// Do not set Refetch back to nil in a running system: stored times of the
	// host's clock and times of the billing system's clock would be compared.
	Refetch func(ctx context.Context, e Event) (entitlement.Subscription, error)

	// Logger logs refused requests and rejected events, with the reason. Nil discards
	// the log.
	Logger *slog.Logger
}

func (o *Options) withDefaults() Options {
	var d Options
	if o != nil {
		d = *o
	}
	d.Accounts = slices.Clone(d.Accounts)
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
