package apikey

import (
	"context"
	"log/slog"
	"time"

	"github.com/keyhatch/keyhatch/cache"
	"github.com/keyhatch/keyhatch/entitlement"
	"github.com/keyhatch/keyhatch/internal/guard"
)

// The pause before a Manager calls Watch again is watchPause at first, and doubles up to
// longestPause. After a Watch that lasted at least longestPause, it is watchPause again.
const (
	watchPause   = time.Second
	longestPause = 30 * time.Second
)

// startWatcher passes on the plan changes that the provider reports. It returns nil
// if the provider does not watch.
func startWatcher(m *Manager) *background {
	provider, ok := m.opts.Entitlements.(entitlement.Watcher)
	if !ok {
		return nil
	}
	return startBackground(func(ctx context.Context) { m.watch(ctx, provider) })
}

func (m *Manager) watch(ctx context.Context, provider entitlement.Watcher) {
	pause := watchPause
	for ctx.Err() == nil {
		began := time.Now()
		err := m.watchOnce(ctx, provider)
		if ctx.Err() != nil {
			return
		}
		m.logWatch(err)
		if time.Since(began) >= longestPause {
			pause = watchPause
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
		pause = min(2*pause, longestPause)
	}
}

// watchOnce calls the provider's Watch. It also returns if Watch panics or ends its
// goroutine.
func (m *Manager) watchOnce(ctx context.Context, provider entitlement.Watcher) error {
	return guard.Run(func() error {
		return guard.Classify(provider.Watch(ctx, m.plans.MarkStale, func(owner string) { m.ownerSeen(ctx, owner) }))
	})
}

// ownerSeen is like InvalidateOwner, for a change that the provider reports. If the bus is
// down or the Watch ends, ownerSeen does not wait: the message is queued.
func (m *Manager) ownerSeen(ctx context.Context, owner string) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if !m.group.Healthy() {
		cancel()
	}
	unpropagated, _ := m.plans.Change(ctx, []cache.Key{ownerKey(owner)}, nil, alreadyWritten)
	if ctx.Err() == nil {
		_ = m.notPropagated(ctx, unpropagated) // only logs it
	}
}

func (m *Manager) logWatch(err error) {
	defer func() { _ = recover() }() // a Logger may panic, and nothing else would recover
	m.log.Warn("apikey: entitlement watch failed; plan changes take effect after CacheTTL", slog.Any("error", err))
}
