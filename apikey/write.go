package apikey

import (
	"context"
	"sync"

	"github.com/keyhatch/keyhatch/cache"
	"github.com/keyhatch/keyhatch/store"
)

// enter waits until the owner may make a call in the lane.
func (m *Manager) enter(ctx context.Context, l *lane, owner string) (*turn, error) {
	return l.enter(ctx, owner, m.opts.CallTimeout)
}

// write changes one key and reports that, as change does. It looks the key up first,
// since the fence needs its digest. The digest of an ID never changes.
func write[T any](ctx context.Context, m *Manager, l *lane, owner, id string, on func(context.Context, store.Record) (T, error),
	report func(context.Context, T)) (done changed[T], err error) {
	if err := checkNamed(owner, id); err != nil {
		return done, err
	}
	t, err := m.enter(ctx, l, owner)
	if err != nil {
		return done, err
	}
	defer t.leave()
	// The owner's uses are written while the key is looked up. Only those that arrive
	// meanwhile delay the revocation.
	var flush sync.WaitGroup
	flushed := false
	if l == m.revocations {
		flush.Go(func() { flushed = m.uses.flushOwner(context.WithoutCancel(ctx), owner) })
	}
	before, err := m.find(ctx, t, owner, id)
	if err != nil {
		flush.Wait()
		return done, err
	}
	do := func(ctx context.Context) (T, error) {
		if flush.Wait(); flushed {
			m.uses.flushKey(ctx, before.Digest)
		}
		return on(ctx, before)
	}
	done, err = change(ctx, m, t, do, report, cache.Key(before.Digest))
	if err != nil {
		return changed[T]{}, m.fail(ctx, owner, id, err)
	}
	return done, nil
}
