package rediscache

import (
	"context"
	"errors"
	"fmt"

	"github.com/keyhatch/keyhatch/cache"
	"github.com/redis/go-redis/v9"
)

// Publish is [cache.Bus]'s. It refuses what is not a message, and returns
// within about a second.
func (c *Cache) Publish(ctx context.Context, message string) error {
	return c.publishTo(ctx, c.names.channel(), message)
}

func (c *Cache) publishTo(ctx context.Context, channel, message string) error {
	if err := cache.CheckMessage(message); err != nil {
		return fmt.Errorf("rediscache: publish: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	if err := c.publish(ctx, channel, message); err != nil {
		return fmt.Errorf("rediscache: publish: %w", c.hide(err))
	}
	return nil
}

// publishScript deletes what is not there before it publishes, which a replica
// refuses. It would publish, to those alone who listen there: after a failover
// that a connection has outlived, the instances would no longer hear each other,
// each of them hearing itself.
var publishScript = redis.NewScript(`
redis.call('DEL', KEYS[1])
return redis.call('PUBLISH', ARGV[1], ARGV[2])
`)

// publish cannot ask so in a cluster, where the name may belong to another node.
func (c *Cache) publish(ctx context.Context, channel, message string) error {
	if c.cluster {
		return c.bus.Publish(ctx, channel, message).Err()
	}
	return publishScript.Run(ctx, c.bus, []string{c.names.nothing()}, channel, message).Err()
}

var errClosed = errors.New("the cache was closed")

// Receive implements [cache.Bus]. If the server does not respond any more, Receive
// returns an error within 1.5 s.
func (c *Cache) Receive(ctx context.Context, ready func(echo func(ctx context.Context, message string) error), deliver func(message string)) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(c.life, func() { cancel(errClosed) })()
	if c.life.Err() != nil { // AfterFunc cancels a moment later
		return fmt.Errorf("rediscache: receive: %w", errClosed)
	}
	err := c.receive(ctx, ready, deliver)
	if ctx.Err() != nil {
		err = context.Cause(ctx) // says more than that the connection was closed
	}
	return fmt.Errorf("rediscache: receive: %w", c.hide(err))
}

// receive has a client of its own, whose dialer dials once. go-redis replaces a
// lost connection before it returns the error; here it finds that it cannot.
func (c *Cache) receive(ctx context.Context, ready func(echo func(ctx context.Context, message string) error), deliver func(message string)) error {
	options := c.options()
	l := &line{ctx: ctx, dial: redis.NewDialer(&options)}
	options.Dialer = l.connect
	client := redis.NewClient(&options)
	defer client.Close()
	subscription := client.Subscribe(ctx)
	defer subscription.Close()
	ctx = context.WithoutCancel(ctx) // the line ends it
	// A server sends messages in the order of publication, across channels.
	// The one on which messages come is last: none come before it is confirmed.
	channels := []string{c.names.echo(), c.names.channel()}
	if err := subscription.Subscribe(ctx, channels...); err != nil {
		return err
	}
	l.conn.watch()
	for _, channel := range channels {
		if err := confirm(ctx, subscription, channel); err != nil {
			return err
		}
	}
	ready(func(ctx context.Context, message string) error { return c.publishTo(ctx, channels[0], message) })
	for {
		m, err := next(ctx, subscription)
		if err != nil {
			return err
		}
		if err := pass(m, deliver); err != nil {
			return err
		}
	}
}

// next is what comes next. go-redis panics at answers of no known shape, and
// what has become of a server is no reason to end the process.
func next(ctx context.Context, s *redis.PubSub) (m any, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the server has sent what is no message: %v", p)
		}
	}()
	return s.Receive(ctx)
}

// confirm returns once the server has confirmed the subscription.
func confirm(ctx context.Context, s *redis.PubSub, channel string) error {
	m, err := next(ctx, s)
	if err != nil {
		return err
	}
	if confirmed, ok := m.(*redis.Subscription); !ok || confirmed.Kind != "subscribe" || confirmed.Channel != channel {
		return fmt.Errorf("got %v, want a subscription to %s", m, channel)
	}
	return nil
}

func pass(m any, deliver func(message string)) error {
	switch m := m.(type) {
	case *redis.Message:
		deliver(m.Payload) // also what is not from Publish: it may have been, and was damaged
	case *redis.Subscription:
		return errors.New("the subscription has begun anew: what was published meanwhile is lost")
	}
	return nil
}
