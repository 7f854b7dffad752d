package webhook

import (
	"errors"
	"net/http"

	"github.com/keyhatch/keyhatch/entitlement"
)

// Custom returns the Source for a billing system that this package does not know, such
// as Paddle, Lemon Squeezy or the host's own invoices. The name becomes the Source of each
// [entitlement.Report]: 1 to 32 lower-case letters, digits, dashes and underscores. verify
// and parse may be called from many goroutines.
//
// verify returns an error unless the body is authentic, and otherwise the event's ID, which
// stays the same when the event is sent again. It must check a signature of the whole body,
// compare it in constant time (see [crypto/hmac.Equal]), and refuse a signed timestamp that
// is more than five minutes old. The body has at most 256 KiB.
//
// parse returns what the event reports. Set UpdatedAt of each part to the time of the event,
// and Plan to a plan of the catalog. A PeriodEnd is the one that the billing system reports;
// set CancelAtPeriodEnd if it is the last one. The Handler sets the Report's Event, and its
// Source, which parse may leave empty. An event with a Report of another Source is rejected.
// The zero Report means that the event does not concern plans. An error means that the
// event cannot be used: it is rejected, with the error as the reason.
//
// The Handler needs no products for a custom Source, and of its [Options] it uses Ignore,
// Changed and Logger. The Event passed to Ignore has only an ID and a Body.
func Custom(name string, verify func(h http.Header, body []byte) (event string, err error), parse func(event string, body []byte) (entitlement.Report, error)) Source {
	s := Source{name: name, verify: verify, parse: parse}
	if !s.isCustom() {
		s.err = errors.New("verify and parse must not be nil")
	}
	return s
}
