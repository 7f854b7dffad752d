package webhook

import (
	"context"
	"errors"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// An Event is an event of a billing system. Which fields are set depends on the
// source and on the event's type.
type Event struct {
	ID   string    // stays the same when the event is sent again
	Type string    // such as "customer.subscription.updated"
	At   time.Time // when it happened, by the billing system's clock

	Subscription string // its ID; empty for most refunds and disputes
	Payment      string // of a refund or dispute: Stripe's charge, Polar's order, Dodo's payment
	Customer     string // the billing system's ID of the customer

	// Products are the IDs of what was bought. For each item, Stripe has the
	// price and the product.
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

// maxText is the maximum length of owners, IDs and names in bytes. It is
// package apikey's limit for owners.
const maxText = 255

// checkText returns an error for text that package apikey refuses as an owner,
// or that a database may not store.
func checkText(s string) error {
	switch {
	case s == "":
		return errors.New("must not be empty")
	case len(s) > maxText:
		return errors.New("must have at most 255 bytes")
	case !utf8.ValidString(s) || strings.ContainsFunc(s, misleading):
		return errors.New("must be UTF-8 without control characters")
	}
	return nil
}

// misleading reports whether r could break a line, or reorder the text around
// it, where a name is shown.
func misleading(r rune) bool {
	return unicode.IsControl(r) || unicode.In(r, unicode.Zl, unicode.Zp, unicode.Bidi_Control)
}
