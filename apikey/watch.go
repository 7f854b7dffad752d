package apikey

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/keyhatch/keyhatch/entitlement"
)

// How long a Manager waits before it calls Watch again. The pause doubles, up to
// the longest, until a Watch has lasted that long.
const (
	watchPause   = time.Second
	longestPause = 30 * time.Second
)

// A watcher hears of changed plans from the provider.
type watcher struct {
	stop context.CancelFunc
	done chan struct{}
}

// startWatcher returns nil when the provider does not watch.
func startWatcher(m *Manager) *watcher {
	provider, ok := m.opts.Entitlements.(entitlement.Watcher)
	if !ok {
		return nil
	}
	ctx, stop := context.WithCancel(context.Background())
	w := &watcher{stop: stop, done: make(chan struct{})}
	go func() {
		defer close(w.done)
		m.watch(ctx, provider)
	}()
	return w
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

// watchOnce is the provider's, whatever the provider does. A Watch may exit its
// goroutine, so it gets one of its own.
func (m *Manager) watchOnce(ctx context.Context, provider entitlement.Watcher) error {
	ended := make(chan error, 1)
	go func() {
		err := errExited
		defer func() {
			if p := recover(); p != nil {
				err = fmt.Errorf("panic: %v", p)
			}
			ended <- err
		}()
		e := provider.Watch(ctx, m.plans.Doubt, func(owner string) { m.ownerSeen(ctx, owner) })
		_ = errors.Is(e, errNobody) // an error that panics when it is looked into does so here
		err = e
	}()
	return <-ended
}

// ownerSeen is OwnerChanged for what the provider has seen. A bus that is lost, or
// the end of the Watch, must not hold up what comes after; those who do not hear of
// it then ask anew soon.
func (m *Manager) ownerSeen(ctx context.Context, owner string) {
	key := ownerKey(owner)
	m.plans.Forget(key)
	if m.feed != nil && m.feed.Up() && ctx.Err() == nil {
		_ = m.notPropagated(ctx, m.publish(ctx, key)) // which is logged
	}
}

func (m *Manager) logWatch(err error) {
	defer func() { _ = recover() }() // a Logger that panics: nobody else would catch it
	m.log.Warn("apikey: changes of plans are not heard of; they are seen when CacheTTL is over", slog.Any("error", err))
}

// close waits until Watch has returned.
func (w *watcher) close(ctx context.Context) error {
	if w == nil {
		return nil
	}
	w.stop()
	select {
	case <-w.done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("apikey: the provider's Watch has not returned: %w", ctx.Err())
	}
}
