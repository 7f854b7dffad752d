package apikey

import (
	"context"
	"sync"

	"github.com/keyhatch/keyhatch/cache"
	"github.com/keyhatch/keyhatch/store"
)

// admit waits for one of the owner's permits in the lane.
func (m *Manager) admit(ctx context.Context, l *lane, owner string) (*permit, error) {
	return l.admit(ctx, owner, m.opts.CallTimeout)
}

// write changes one key, and reports the change as the function change does. The fence needs the
// digest of the key. If digest is zero, write looks the key up first.
func write[T any](ctx context.Context, m *Manager, l *lane, owner, id string, digest store.Digest, on func(context.Context, store.Record) (T, error),
	report func(context.Context, T)) (done changed[T], err error) {
	if err := checkNamed(owner, id); err != nil {
		return done, err
	}
	permit, err := m.admit(ctx, l, owner)
	if err != nil {
		return done, err
	}
	defer permit.release()
	before := store.Record{Digest: digest}
	revokes, flushed := l == m.revocations, true
	var flushing sync.WaitGroup
	if digest.IsZero() {
		// The owner's uses are written while the key is looked up, so the revocation waits only
		// for uses that arrive meanwhile.
		if revokes {
			flushing.Go(func() { flushed = m.uses.flushOwner(context.WithoutCancel(ctx), owner) })
		}
		if before, err = m.getRecord(ctx, permit, owner, id); err != nil {
			flushing.Wait()
			return done, err
		}
	}
	do := func(ctx context.Context) (T, error) {
		if flushing.Wait(); revokes && flushed {
			m.uses.flushKey(ctx, before.Digest)
		}
		return on(ctx, before)
	}
	done, err = change(ctx, m, permit, do, report, cache.Key(before.Digest))
	if err != nil {
		return changed[T]{}, m.fail(ctx, owner, id, err)
	}
	return done, nil
}
