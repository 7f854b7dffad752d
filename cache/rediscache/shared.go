package rediscache

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/keyhatch/keyhatch/cache"
	"github.com/redis/go-redis/v9"
)

// MaxValue is the maximum length of a value in bytes. Longer values are not read
// from the server.
const MaxValue = 128 << 10

// chunk is the number of keys that Delete sends at once.
const chunk = 1000

// Get implements [cache.Shared].
func (c *Cache) Get(ctx context.Context, key cache.Key) (item cache.Item, lease string, err error) {
	err = c.guarded(ctx, "get", key, func(ctx context.Context) error {
		item, lease, err = c.get(ctx, key)
		return err
	})
	if err != nil {
		return cache.Item{}, "", err
	}
	if lease != "" {
		return cache.Item{}, lease, cache.ErrMiss
	}
	return item, "", nil
}

// get runs the script a second time if the server holds an entry that is expired or
// that this service did not write. The second run replaces the entry by a lease.
func (c *Cache) get(ctx context.Context, key cache.Key) (item cache.Item, lease string, err error) {
	for _, what := range []string{"use", "drop"} {
		now := time.Now()
		text, left, err := c.ask(ctx, key, what)
		if err != nil {
			return cache.Item{}, "", err
		}
		if text[0] == isLease && len(text) < prefix && left >= 0 && left <= cache.MaxLease {
			return cache.Item{}, stamp(now, text), nil
		}
		if e, ok := c.seal.open(key, []byte(text)); ok {
			if item, ok := e.item(left, now); ok {
				return item, "", nil
			}
		}
	}
	return cache.Item{}, "", errors.New("the server grants no lease")
}

func (c *Cache) ask(ctx context.Context, key cache.Key, what string) (text string, left time.Duration, err error) {
	reply, err := c.scripts.run(ctx, getScript, c.names.of(key),
		string(isLease)+rand.Text(), cache.MaxLease.Milliseconds(), prefix+MaxValue, what).Slice()
	if err != nil {
		return "", 0, err
	}
	if len(reply) == 2 {
		text, _ := reply[0].(string)
		left, ok := reply[1].(int64)
		if text != "" && ok {
			return text, time.Duration(left) * time.Millisecond, nil
		}
	}
	return "", 0, fmt.Errorf("got a reply of %d values, want an entry or a lease, and its remaining time", len(reply))
}

// stampLen is the length of a time in hexadecimal milliseconds.
const stampLen = 16

// stamp prefixes a lease with the time of its Get. Set seals that time in the entry.
// The time is that of this instance's clock, since nothing authenticates the
// server's time.
func stamp(now time.Time, lease string) string {
	return fmt.Sprintf("%0*x", stampLen, now.UnixMilli()) + lease
}

func unstamp(stamped string) (granted time.Time, lease string, ok bool) {
	if len(stamped) <= stampLen {
		return time.Time{}, "", false
	}
	ms, err := strconv.ParseInt(stamped[:stampLen], 16, 64)
	return time.UnixMilli(ms), stamped[stampLen:], err == nil
}

// Set implements [cache.Shared]. It returns an error if the value is longer than
// [MaxValue].
func (c *Cache) Set(ctx context.Context, key cache.Key, lease string, item cache.Item, ttl time.Duration) error {
	if item.Absent {
		item.Value = nil
	}
	if len(item.Value) > MaxValue {
		return fmt.Errorf("rediscache: set: a value of %d bytes is longer than %d", len(item.Value), MaxValue)
	}
	granted, lease, ok := unstamp(lease)
	if !ok || ttl < time.Millisecond {
		return nil
	}
	sealed := c.seal.close(key, entry{item.Value, item.Absent, granted, ttl})
	what := "value"
	if item.Absent {
		what = "absent"
	}
	return c.guarded(ctx, "set", key, func(ctx context.Context) error {
		return c.scripts.run(ctx, setScript, c.names.of(key),
			lease, cache.MaxLease.Milliseconds(), (ttl - skew(ttl)).Milliseconds(), sealed, what).Err()
	})
}

// Delete implements [cache.Shared]. It sends a thousand keys at a time, each thousand
// within the timeout, and stops at the first error.
func (c *Cache) Delete(ctx context.Context, keys ...cache.Key) error {
	for some := range slices.Chunk(keys, chunk) {
		if err := c.bounded(ctx, "delete", func(ctx context.Context) error { return c.delete(ctx, some) }); err != nil {
			return err
		}
	}
	return nil
}

// delete sends a command for each key, since two keys may be on different nodes.
func (c *Cache) delete(ctx context.Context, keys []cache.Key) error {
	_, err := c.shared.Pipelined(ctx, func(p redis.Pipeliner) error {
		for _, key := range keys {
			p.Del(ctx, c.names.of(key)...)
		}
		return nil
	})
	return err
}

// guarded calls bounded unless the circuit breaker is open.
func (c *Cache) guarded(ctx context.Context, what string, key cache.Key, call func(context.Context) error) error {
	allowed, trial := c.breaker.Allow(key)
	if !allowed {
		return fmt.Errorf("rediscache: %s: %w", what, c.breaker.Err())
	}
	began := time.Now()
	err := c.bounded(ctx, what, call)
	switch {
	case err == nil || !errors.Is(ctx.Err(), context.Canceled):
		c.breaker.Record(key, began, err)
	case trial:
		c.breaker.Release() // a caller that gives up says nothing about the server
	}
	return err
}

func (c *Cache) bounded(ctx context.Context, what string, call func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	if err := call(ctx); err != nil {
		return fmt.Errorf("rediscache: %s: %w", what, c.hide(err))
	}
	return nil
}
