package webhook

import (
	"context"
	"errors"
	"fmt"
	"slices"
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
	Payment      string // Stripe's invoice, payment intent or charge, Polar's order, Dodo's payment
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

// errIgnored means that an event does not concern plans.
var errIgnored = errors.New("webhook: the event does not concern plans")

// ownerName is the name of the owner in metadata.
const ownerName = "owner"

// MetadataOwner returns the owner that the event names: metadata "owner" of the
// subscription and of the customer, and Polar's external ID of the customer. It returns
// "" if the event names none, and an [*entitlement.InvalidError] if it names several.
func MetadataOwner(_ context.Context, e Event) (owner string, err error) {
	switch names := namedOwners(e); len(names) {
	case 0:
		return "", nil
	case 1:
		return names[0], nil
	default:
		return "", invalid("Owner", fmt.Errorf("the event names several: %q", names))
	}
}

// namedOwners returns the different owners that the event names.
func namedOwners(e Event) []string {
	names := []string{e.Metadata[ownerName], e.CustomerMetadata[ownerName], e.CustomerExternalID}
	slices.Sort(names)
	return slices.DeleteFunc(slices.Compact(names), func(name string) bool { return name == "" })
}
