package apikey

import (
	"context"
	"errors"

	"github.com/keyhatch/keyhatch/cache"
	"github.com/keyhatch/keyhatch/store"
)

// A changed value is what a change left in the store, and why other instances
// do not know of it yet, if they do not.
type changed[T any] struct {
	value  T
	untold error
}

// change makes a change of the store behind the fence of these keys, and then
// tells the other instances. It does so too when the store gave no clear answer,
// failed or panicked, since the change may have happened.
func change[T any](ctx context.Context, m *Manager, write func(context.Context) (T, error), keys ...cache.Key) (changed[T], error) {
	return ask(ctx, m, func(ctx context.Context) (c changed[T], err error) {
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
					c.untold = m.level.forget(ctx, keys...)
				}
			}()
			c.value, err = write(ctx)
			return err
		}, keys...)
		return c, err
	})
}

// changeOwner is change for all keys of an owner. Write returns those that it
// changed.
func changeOwner(ctx context.Context, m *Manager, owner string, write func(context.Context) ([]store.Record, error)) (changed[[]store.Record], error) {
	return ask(ctx, m, func(ctx context.Context) (c changed[[]store.Record], err error) {
		err = errExited
		defer func() { c.untold = errors.Join(c.untold, m.publishOwner(ctx, owner)) }()
		_ = m.keys.WriteGroup(func() error {
			defer func() {
				if err != nil {
					m.level.distrust() // nobody knows which keys there are
				}
			}()
			c.value, err = write(ctx)
			var keys []cache.Key
			for _, r := range c.value {
				keys = append(keys, cache.Key(r.Digest))
			}
			c.untold = m.level.forget(ctx, keys...)
			return err
		}, ownerKey(owner))
		return c, err
	})
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
