package cache

import (
	"context"
	"fmt"
)

// A Bus carries messages between the instances of a service, so that a change
// made through one is seen at once by all. It is written by those who bring a
// message broker; a [Feed] does the rest.
//
// A Bus only moves text. It needs no memory and no acknowledgement: a Feed
// notices what was lost. Messages are printable ASCII of at most [MaxMessage]
// bytes.
//
// A Bus that has a secret also has a method MACKey() []byte, which returns a key
// that is derived from the secret for this purpose alone and is the same in all
// instances; one that wraps another must pass it on. The Feed then authenticates
// its messages. Without a key, everyone who can publish can make an instance
// invalidate entries, and can hide from it that messages of others are lost.
//
// All methods may be called from many goroutines. They heed their context.
type Bus interface {
	// Publish hands a message to everyone who receives, the publisher's own
	// instance included. It may refuse what is not a message. It returns nil
	// once the broker has it. The messages of calls that follow each other
	// arrive in that order.
	Publish(ctx context.Context, message string) error

	// Receive connects and calls deliver for each message, one after the
	// other, in the order in which the broker had them, and unchanged, even what
	// CheckMessage would refuse: it may be a message that was damaged, and the
	// Feed must notice. Before the first, it calls ready once: what is published
	// from then on is delivered, as long as the connection lasts.
	//
	// Echo has a message delivered over this connection and no other, behind
	// everything whose Publish had returned before echo was called. It must go
	// the way that Publish goes, so that it does not come where that leads to
	// another server. It returns nil once the message is under way. A Bus that
	// cannot do so passes nil; its instances then publish every second, each to
	// all.
	//
	// Receive returns when ctx ends or the connection is lost, always with an
	// error. It never connects a second time: what was published meanwhile
	// would be missed without a word. A connection over which nothing comes
	// any more must not be waited for; Receive asks the other end, if nothing
	// has come for about a second, and returns if there is no answer.
	Receive(ctx context.Context, ready func(echo func(ctx context.Context, message string) error), deliver func(message string)) error
}

// MaxMessage is how long a message can be, in bytes. PostgreSQL's NOTIFY takes
// less than 8,000.
const MaxMessage = 4096

// CheckMessage returns an error for what is not a message, for a Bus to refuse
// it.
func CheckMessage(message string) error {
	if len(message) > MaxMessage {
		return fmt.Errorf("the message has %d bytes, want at most %d", len(message), MaxMessage)
	}
	for i := range len(message) {
		if message[i] < ' ' || message[i] > '~' {
			return fmt.Errorf("the message is not printable ASCII: byte %d is %#04x", i, message[i])
		}
	}
	return nil
}
