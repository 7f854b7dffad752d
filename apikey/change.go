package apikey

import (
	"context"
	"errors"
	"time"

	"github.com/keyhatch/keyhatch/cache"
	"github.com/keyhatch/keyhatch/store"
)

// A changed value is what a change left in the store, and why other instances
// do not know of it yet, if they do not.
type changed[T any] struct {
	value  T
	untold error
}

// tellTime is what telling the others may take, beside the change itself.
const tellTime = 3 * time.Second

// change makes a change of the store behind the fence of these keys, and then
// tells the other instances. It does so too when the store gave no clear answer,
// failed or panicked, since the change may have happened.
func change[T any](ctx context.Context, m *Manager, write func(context.Context) (T, error), keys ...cache.Key) (changed[T], error) {
	return tell(ctx, m, func(ctx context.Context) (c changed[T], err error) {
		err = errExited
		defer func() {
			if !verdict(err) {
				c.untold = errors.Join(c.untold, m.publish(ctx, keys...))
			}
		}()
		_ = m.keys.Write(func() error {
			// Within the fence: what is loaded after it is not from the level as
			// it was before.
			defer func() {
				if !verdict(err) {
					m.level.mark(keys...)
					c.untold = m.level.forget(ctx, keys...)
				}
			}()
			c.value, err = bounded(ctx, m, write)
			return err
		}, keys...)
		return c, err
	})
}

// changeOwner is change for all keys of an owner. Write returns those that it
// changed.
func changeOwner(ctx context.Context, m *Manager, owner string, write func(context.Context) ([]store.Record, error)) (changed[[]store.Record], error) {
	return tell(ctx, m, func(ctx context.Context) (c changed[[]store.Record], err error) {
		err = errExited
		defer func() { c.untold = errors.Join(c.untold, m.publishOwner(ctx, owner)) }()
		_ = m.keys.WriteGroup(func() error {
			m.level.mark(ownerKey(owner))
			c.value, err = bounded(ctx, m, write)
			m.level.mark(ownerKey(owner)) // the time counts from now
			c.untold = m.level.forget(ctx, digests(c.value)...)
			return err
		}, ownerKey(owner))
		return c, err
	})
}

func digests(records []store.Record) (keys []cache.Key) {
	for _, r := range records {
		keys = append(keys, cache.Key(r.Digest))
	}
	return keys
}

// tell is ask with more time, where there are others to tell: what was changed
// must not look like an outage because they are slow to hear of it.
func tell[T any](ctx context.Context, m *Manager, call func(context.Context) (T, error)) (T, error) {
	wait := m.opts.LookupTimeout
	if m.feed != nil || m.level != nil {
		wait += tellTime
	}
	return askFor(ctx, m.calls, wait, call)
}

// bounded gives the store its own time.
func bounded[T any](ctx context.Context, m *Manager, write func(context.Context) (T, error)) (T, error) {
	ctx, cancel := context.WithTimeout(ctx, m.opts.LookupTimeout)
	defer cancel()
	return write(ctx)
}

// fenced is a write of the store behind the fence of these keys, which other
// instances need not hear of.
func fenced(m *Manager, write func(context.Context) error, keys ...cache.Key) func(context.Context) (struct{}, error) {
	return func(ctx context.Context) (struct{}, error) {
		return struct{}{}, m.keys.Write(func() error { return write(ctx) }, keys...)
	}
}

// verdict reports whether the store has said that nothing was changed.
func verdict(err error) bool {
	return errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrConflict) ||
		errors.Is(err, store.ErrDuplicate) || errors.Is(err, store.ErrLimit)
}
