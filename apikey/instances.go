package apikey

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/keyhatch/keyhatch/cache"
	"github.com/keyhatch/keyhatch/store"
)

// A listener hears what other instances have changed. A name is a key's or an
// owner's. Each cache forgets it, and one that does not know it does nothing.
type listener struct {
	caches []cache.Receiver
	level  *secondLevel
	ended  *endedKeys
}

func newListener(m *Manager) listener {
	l := listener{caches: []cache.Receiver{m.keys}, level: m.level, ended: &m.ended}
	if m.plans != nil {
		l.caches = append(l.caches, m.plans)
	}
	return l
}

// Forget implements [cache.Receiver].
func (l listener) Forget(keys ...cache.Key) {
	l.level.mark(keys...)
	for _, key := range keys {
		l.ended.changed(store.Digest(key))
	}
	for _, c := range l.caches {
		c.Forget(keys...)
	}
}

// ForgetGroup implements [cache.Receiver]. Groups are the keys of an owner.
func (l listener) ForgetGroup(group cache.Key) {
	l.level.mark(group)
	for _, c := range l.caches {
		c.ForgetGroup(group)
	}
}

// Doubt implements [cache.Receiver].
func (l listener) Doubt() {
	l.ended.doubt()
	for _, c := range l.caches {
		c.Doubt()
	}
}

// Trust implements [cache.Receiver].
func (l listener) Trust(until time.Time, ttl time.Duration) {
	for _, c := range l.caches {
		c.Trust(until, ttl)
	}
}

// Alone implements [cache.Receiver].
func (l listener) Alone(ttl time.Duration) {
	for _, c := range l.caches {
		c.Alone(ttl)
	}
}

// toldTime is how long a change waits for others to be told. The message goes
// out later if it can.
const toldTime = 2 * time.Second

// publish tells the other instances to forget these keys. It has a time limit of
// its own: a change that was long under way must be told all the same.
func (m *Manager) publish(ctx context.Context, keys ...cache.Key) error {
	return m.send(ctx, func(ctx context.Context) error { return m.feed.Publish(ctx, keys...) })
}

func (m *Manager) publishOwner(ctx context.Context, owner string) error {
	return m.send(ctx, func(ctx context.Context) error { return m.feed.PublishGroup(ctx, ownerKey(owner)) })
}

func (m *Manager) send(ctx context.Context, send func(context.Context) error) error {
	if m.feed == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), toldTime)
	defer cancel()
	return send(ctx)
}

// notPropagated returns the error of a change that was made but not published, or
// nil if untold is nil.
func (m *Manager) notPropagated(ctx context.Context, untold error) error {
	if untold == nil {
		return nil
	}
	m.log.LogAttrs(ctx, slog.LevelError, "apikey: a change was made but not published to other instances", slog.Any("error", untold))
	return fmt.Errorf("%w: %w", ErrNotPropagated, noVerdict(untold))
}

// reportBus is called when the bus goes down and when it is up.
func (m *Manager) reportBus(err error) {
	defer func() { _ = recover() }() // from a Logger that panics
	if err != nil {
		m.log.Warn("apikey: the bus is down; cached keys and plans expire after 10 s until it is up", slog.Any("error", err))
		return
	}
	m.log.Info("apikey: the bus is up")
}
