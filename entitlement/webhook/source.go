package webhook

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/keyhatch/keyhatch/entitlement"
	"github.com/keyhatch/keyhatch/internal/text"
)

// A Source describes a billing system: how it signs its events, whose events are accepted,
// and what they mean. [Stripe], [Polar] and [Dodo] create a Source from the secrets of one
// endpoint, and [Custom] creates one for another billing system.
//
// Pass the current secret and any previous ones that are still in use, at most 8 in all. A
// secret has 24 to 256 bytes after its prefix and, if it is base64, after decoding. [New]
// returns an error if a secret is invalid.
type Source struct {
	name      string
	account   string          // whose events are accepted
	keys      func() [][]byte // a function, so that fmt does not print them
	err       error           // of the secrets
	signature func(http.Header) (signature, error)
	label     func(d fields, e *Event)        // sets the Type, and the ID if the body has it
	contents  func(d fields, e *Event) fields // sets At and, if the envelope has them, Account and TestMode
	subjects  map[string]subject              // by the event's type; events of other types are ignored

	// Of a custom source. The fields above, except name, are then not set.
	verify func(h http.Header, body []byte) (event string, err error)
	parse  func(event string, body []byte) (entitlement.Report, error)
}

func (s Source) isCustom() bool { return s.verify != nil && s.parse != nil }

// A subject is what an event is about. identify reads the IDs of the event's object. One of
// the other functions is set, and reads the object's state. The function is subscription if
// the object is a subscription, and report if it is a payment, charge, refund or dispute. ok
// is false if the object does not concern plans, such as a payment for something else than a
// subscription.
type subject struct {
	identify     func(d fields, e *Event)
	subscription func(d fields, e Event) state
	report       func(d fields, e Event) (r entitlement.Report, ok bool)
}

// register adds the subject to the map all, under each type.
func (s subject) register(all map[string]subject, types ...string) {
	for _, t := range types {
		all[t] = s
	}
}

// checkAccount returns an error if the ID is not the ID of an account. Its errors do
// not contain the ID, since it may be a secret.
func checkAccount(kind, id string, secrets []string) error {
	isSecret := slices.Contains(secrets, id) || strings.HasPrefix(id, secretPrefix) || strings.HasPrefix(id, polarPrefix)
	if id == "" {
		return fmt.Errorf("the first argument is empty, want the ID of the %s", kind)
	}
	if isSecret || text.CheckID(id) != nil {
		return fmt.Errorf("the first argument is not the ID of the %s, which is public and not a secret", kind)
	}
	return nil
}

// checkSource returns an error unless the source is that of the Handler, or empty.
func (h *Handler) checkSource(source string) error {
	if source == "" || source == h.source.name {
		return nil
	}
	return &entitlement.InvalidError{Field: "Source", Err: fmt.Errorf("is %q, but the Handler is for %q: use the Handler of that source", source, h.source.name)}
}

// checkSources returns an error if the report, or a part of it, is of another source.
func (h *Handler) checkSources(r entitlement.Report) error {
	sources := []string{r.Source}
	if r.Subscription != nil {
		sources = append(sources, r.Subscription.Source)
	}
	if r.Payment != nil {
		sources = append(sources, r.Payment.Source)
	}
	if r.Charge != nil {
		sources = append(sources, r.Charge.Source)
	}
	if r.Reversal != nil {
		sources = append(sources, r.Reversal.Source)
	}
	for _, source := range sources {
		if err := h.checkSource(source); err != nil {
			return err
		}
	}
	return nil
}

// standardLabel and standardContents read the envelope that Standard Webhooks
// recommends.
func standardLabel(d fields, e *Event) { e.Type = d.text("type") }

func standardContents(d fields, e *Event) fields {
	e.At = d.date("timestamp")
	return d.object("data")
}
