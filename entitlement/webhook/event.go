package webhook

import (
	"context"
	"errors"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// An Event is what a billing system has sent. Which fields are set depends on
// the sender and on what it is about.
type Event struct {
	ID   string    // the same whenever it is sent again
	Type string    // such as "customer.subscription.updated"
	At   time.Time // when it happened, by the sender's clock

	Subscription string // empty for most refunds and disputes
	Payment      string // of a refund or dispute: Stripe's charge, Polar's order, Dodo's payment
	Customer     string

	// Products are the ids of what was bought: for each item of Stripe's its
	// price and its product.
	Products []string

	// Metadata is that of the subscription, refund or dispute, and
	// CustomerMetadata the customer's. CustomerExternalID is the host's own id
	// of the customer, which Polar keeps.
	Metadata           map[string]string
	CustomerMetadata   map[string]string
	CustomerExternalID string

	// Body is all of it, as it came. It must not be changed.
	Body []byte
}

// ErrIgnore is returned by [Options.Owner] for an event that is about something
// else than plans, such as the refund of a T-shirt. It is then answered with 200
// and forgotten.
var ErrIgnore = errors.New("webhook: ignore the event")

// ownerName is where the owner is looked for in metadata.
const ownerName = "owner"

func defaultOwner(_ context.Context, e Event) (string, error) {
	for _, owner := range []string{e.Metadata[ownerName], e.CustomerMetadata[ownerName], e.CustomerExternalID} {
		if owner != "" {
			return owner, nil
		}
	}
	return "", nil
}

// maxText is what owners, ids and names may have at most, in bytes. It is what
// apikey takes for an owner.
const maxText = 255

// checkText finds what apikey takes for no owner, and a database may not keep.
func checkText(s string) error {
	switch {
	case s == "":
		return errors.New("it is empty")
	case len(s) > maxText:
		return errors.New("it has more than 255 bytes")
	case !utf8.ValidString(s) || strings.ContainsFunc(s, misleading):
		return errors.New("it is not plain text")
	}
	return nil
}

// misleading reports whether r could break a line, or reorder the text around
// it, where a name is shown.
func misleading(r rune) bool {
	return unicode.IsControl(r) || unicode.In(r, unicode.Zl, unicode.Zp, unicode.Bidi_Control)
}
