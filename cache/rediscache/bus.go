package rediscache

import (
	"context"
	"errors"
	"fmt"

	"github.com/keyhatch/keyhatch/cache"
	"github.com/redis/go-redis/v9"
)

// Publish implements [cache.Bus]. It returns an error if [cache.CheckMessage] does,
// and returns within about a second.
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

// publishScript first deletes an unused name, so that it fails on a replica, which refuses
// writes. PUBLISH alone would succeed there, but deliver the message only to the replica's own
// clients: after a failover that left connections open, an instance would receive its
// own messages but not the others'.
var publishScript = redis.NewScript(`
redis.call('DEL', KEYS[1])
return redis.call('PUBLISH', ARGV[1], ARGV[2])
`)

// publish does not use the script in a cluster, whose replicas forward messages to all
// nodes, and where the unused name may belong to another node.
func (c *Cache) publish(ctx context.Context, channel, message string) error {
	if c.cluster {
		return c.bus.Publish(ctx, channel, message).Err()
	}
	return publishScript.Run(ctx, c.bus, []string{c.names.unused()}, channel, message).Err()
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
		err = context.Cause(ctx) // more specific than the error of a closed connection
	}
	return fmt.Errorf("rediscache: receive: %w", c.hide(err))
}

// receive uses a client of its own, whose dialer dials only once. Otherwise go-redis
// would replace a lost connection before it returns the error.
func (c *Cache) receive(ctx context.Context, ready func(echo func(ctx context.Context, message string) error), deliver func(message string)) error {
	options := c.options()
	l := &line{ctx: ctx, dial: redis.NewDialer(&options)}
	options.Dialer = l.connect
	client := redis.NewClient(&options)
	defer client.Close()
	subscription := client.Subscribe(ctx)
	defer subscription.Close()
	ctx = context.WithoutCancel(ctx) // the line closes the connection when ctx ends
	// A server sends messages in the order of publication, across channels. The
	// channel of the bus is last, so that both subscriptions are confirmed before
	// the first message arrives.
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

// next returns the next message or confirmation. go-redis panics if the server sends
// a malformed one, which must not end the process.
func next(ctx context.Context, s *redis.PubSub) (m any, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the server has sent a malformed message: %v", p)
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
		deliver(m.Payload) // even if it is invalid: it may be a damaged message
	case *redis.Subscription:
		return errors.New("the server has confirmed the subscription again, so messages may be lost")
	}
	return nil
}
