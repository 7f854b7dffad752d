package webhook

import "net/http"

// A Sender is a billing system: how it signs, and what its events mean. It is
// made of the secrets of one endpoint: the current one and, for as long as they
// are in use, those before it. [New] refuses secrets that are too short.
type Sender struct {
	name      string
	keys      func() [][]byte // where no verb of fmt finds them
	err       error           // of the secrets
	signature func(http.Header) (signature, error)
	label     func(d fields, e *Event)        // sets the Type, and the ID if the body has it
	contents  func(d fields, e *Event) fields // sets At
	subjects  map[string]subject              // by the event's type
}

// A subject is what an event is about: identify says which one, and read in
// what state it is.
type subject struct {
	identify func(d fields, e *Event)
	read     func(d fields, e Event) state
	refetch  bool // Refetch can tell the state, as of a subscription
}

// of gives all the types the same subject.
func (s subject) of(all map[string]subject, types ...string) {
	for _, t := range types {
		all[t] = s
	}
}

// standardLabel and standardContents are for the envelope that Standard Webhooks
// recommends.
func standardLabel(d fields, e *Event) { e.Type = d.text("type") }

func standardContents(d fields, e *Event) fields {
	e.At = d.date("timestamp")
	return d.object("data")
}
