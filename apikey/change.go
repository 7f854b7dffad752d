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

// tellTime is what telling the others may take, beside the change itself: the
// second level and the bus in turn, and the level's last call.
const tellTime = 2*toldTime + levelTime

// change makes a change of the store behind the fence of these keys, and then
// tells the other instances. It does so too when the store gave no clear answer,
// failed or panicked, since the change may have happened.
func change[T any](ctx context.Context, m *Manager, t *turn, write func(context.Context) (T, error), keys ...cache.Key) (changed[T], error) {
	return tell(ctx, m, t, func(ctx context.Context) (c changed[T], err error) {
		err = errExited
		defer func() {
			if !unchanged(err) {
				c.untold = errors.Join(c.untold, m.publish(ctx, keys...))
			}
		}()
		_ = m.keys.Write(func() error {
			// Within the fence: what is loaded after it is not from the level as
			// it was before.
			defer func() {
				if !unchanged(err) {
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

// tell is ask with more time, where there are others to tell: what was changed
// must not look like an outage because they are slow to hear of it.
func tell[T any](ctx context.Context, m *Manager, t *turn, call func(context.Context) (T, error)) (T, error) {
	wait := m.opts.CallTimeout
	if m.feed != nil || m.level != nil {
		wait += tellTime
	}
	return askInTurn(ctx, t, wait, call)
}

// bounded gives the store its own time.
func bounded[T any](ctx context.Context, m *Manager, write func(context.Context) (T, error)) (T, error) {
	ctx, cancel := context.WithTimeout(ctx, m.opts.CallTimeout)
	defer cancel()
	value, err := write(ctx)
	_ = errors.Is(err, errNobody) // an error that panics when it is looked into does so here
	return value, err
}

// fenced is a write of the store behind the fence of these keys, which other
// instances need not hear of.
func fenced(m *Manager, write func(context.Context) error, keys ...cache.Key) func(context.Context) (struct{}, error) {
	return func(ctx context.Context) (struct{}, error) {
		return struct{}{}, m.keys.Write(func() error { return write(ctx) }, keys...)
	}
}

// unchanged reports whether the store has said that the record is as it was.
// ErrConflict does not say so: an earlier try may have changed it.
func unchanged(err error) bool {
	return errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrDuplicate) || errors.Is(err, store.ErrLimit)
}
