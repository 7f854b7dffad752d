package webhook

import (
	"context"
	"errors"
	"time"
)

// An Event is an event of a billing system. Which fields are set depends on the
// source and on the event's type.
type Event struct {
	ID   string    // stays the same when the event is sent again
	Type string    // such as "customer.subscription.updated"
	At   time.Time // when it happened, by the billing system's clock

	// Account is Polar's organization or Dodo's business. For Stripe, it is the
	// connected account, or the account of an organization, and empty for the
	// account that has the endpoint.
	Account string

	// TestMode reports whether the event is from Stripe's test mode or a sandbox.
	// Events of other billing systems do not report it.
	TestMode bool

	Subscription string // its ID; empty for most refunds and disputes
	Payment      string // of a refund or dispute: Stripe's charge, Polar's order, Dodo's payment
	Customer     string // the billing system's ID of the customer

	// Products lists the IDs of the products or prices that were bought. For each
	// of the first ten items, Stripe has the price and the product.
	Products []string

	// Metadata belongs to the subscription, refund or dispute, and
	// CustomerMetadata to the customer. CustomerExternalID is the host's own ID
	// of the customer, which only Polar has.
	Metadata           map[string]string
	CustomerMetadata   map[string]string
	CustomerExternalID string

	// Body is the complete body as received. It must not be modified.
	Body []byte
}

// ErrIgnore is returned by [Options.Owner] for an event that does not concern
// plans, such as the refund of a T-shirt. The handler then responds with 200
// and does nothing else.
var ErrIgnore = errors.New("webhook: ignore the event")

// ownerName is the name of the owner in metadata.
const ownerName = "owner"

func defaultOwner(_ context.Context, e Event) (string, error) {
	for _, owner := range []string{e.Metadata[ownerName], e.CustomerMetadata[ownerName], e.CustomerExternalID} {
		if owner != "" {
			return owner, nil
		}
	}
	return "", nil
}
