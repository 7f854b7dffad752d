package cache

import (
	"context"
	"errors"
	"fmt"

	"github.com/keyhatch/keyhatch/internal/text"
)

// A Bus carries messages between the instances of a service, so that all of them
// see a change at once. Implementers adapt a message broker to it; a [Group] does
// the rest.
//
// A Bus only moves messages. It needs no storage and no acknowledgements: a Group
// notices lost messages. Messages are printable ASCII of at most [MaxMessage]
// bytes.
//
// A Bus that has a secret also has a method MACKey() []byte, which returns a key
// that is derived from the secret for this purpose alone and is the same in all
// instances. A Bus that wraps another Bus must return the key of that Bus. The
// Group then authenticates its messages. Without a key, anyone who can publish
// can make an instance invalidate entries, and can keep the instance from
// noticing that messages of others are lost.
//
// All methods may be called from many goroutines. They return when their context
// ends.
type Bus interface {
	// Publish sends a message to all receivers, including those of the
	// publisher's own instance. It may refuse a message for which [CheckMessage]
	// returns an error. It returns nil once the broker has accepted the message.
	// The messages of successive calls arrive in the order of the calls.
	Publish(ctx context.Context, message string) error

	// Receive connects and calls deliver for each message, one after the other,
	// in the broker's order and unchanged. It also delivers a message that CheckMessage would
	// refuse: the message may be damaged, and the Group must notice that. Before the first
	// message, Receive calls ready once. Messages that are published from then on are delivered
	// for as long as the connection lasts.
	//
	// echo sends a message to this connection only, after every message whose
	// Publish returned before echo was called. It must use the same server as
	// Publish: if Publish and Receive use different servers, the echo must not
	// arrive. It returns nil once the message is sent. A Bus without this ability
	// passes nil; each of its instances then publishes to all every second.
	//
	// Receive returns when ctx ends or the connection is lost, always with an
	// error. It never reconnects, since messages that were published meanwhile
	// would be lost without notice. If nothing arrives for about a second, Receive
	// pings the broker, and returns an error if the broker does not reply.
	Receive(ctx context.Context, ready func(echo func(ctx context.Context, message string) error), deliver func(message string)) error
}

// MaxMessage is the maximum length of a message in bytes. PostgreSQL's NOTIFY
// accepts less than 8,000.
const MaxMessage = 4096

// CheckMessage returns an error if the message is too long or not printable
// ASCII.
func CheckMessage(message string) error {
	if len(message) > MaxMessage {
		return fmt.Errorf("the message has %d bytes, want at most %d", len(message), MaxMessage)
	}
	if !text.IsPrintableASCII(message) {
		return errors.New("the message is not printable ASCII")
	}
	return nil
}
