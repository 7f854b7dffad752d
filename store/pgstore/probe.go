package pgstore

import (
	"context"
	"crypto/rand"
	"errors"
	"time"
)

// probeTimeout is much longer than a message takes, which is milliseconds.
const probeTimeout = 2 * time.Second

var errNotDelivered = errors.New("a test message did not arrive, maybe because a pooler in transaction mode accepts LISTEN but never delivers; " +
	"set BusOptions.DSN to a data source name that leads to the Store's database, directly or through a pooler in session mode")

// probe checks that messages arrive. It uses a separate channel, since other listeners
// would treat its message as a damaged one.
func (b *Bus) probe(ctx context.Context) error {
	channel := "keyhatch_probe_" + rand.Text()
	l, err := listen(ctx, b.server(), channel)
	if err != nil {
		return err
	}
	defer l.close()
	// The message must not be sent over the listening connection. Any pooler would
	// deliver it then, since the connection has a session at that moment.
	if err := b.notify(ctx, channel, ""); err != nil {
		return err
	}
	_, received, err := l.wait(ctx, probeTimeout)
	if err == nil && !received {
		err = errNotDelivered
	}
	return err
}
