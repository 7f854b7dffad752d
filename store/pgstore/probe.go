package pgstore

import (
	"context"
	"crypto/rand"
	"errors"
	"time"
)

// probeTimeout is far above what a message takes, which is milliseconds.
const probeTimeout = 2 * time.Second

var errDeaf = errors.New("a message that was sent did not arrive: a pooler in transaction mode accepts LISTEN and never delivers; " +
	"give BusOptions.DSN a data source name that leads to the server itself or to a pooler in session mode, and to the Store's database")

// probe finds out whether messages arrive. It has a channel of its own: those
// who listen on the bus's would not know what to make of it.
func (b *Bus) probe(ctx context.Context) error {
	channel := "keyhatch_probe_" + rand.Text()
	l, err := listen(ctx, b.server(), channel)
	if err != nil {
		return err
	}
	defer l.close()
	// Over the connection that listens it would come back from every pooler, in
	// the one moment in which that has a session of the server.
	if err := b.notify(ctx, channel, ""); err != nil {
		return err
	}
	_, heard, err := l.wait(ctx, probeTimeout)
	if err == nil && !heard {
		err = errDeaf
	}
	return err
}
