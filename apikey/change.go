package apikey

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/keyhatch/keyhatch/cache"
	"github.com/keyhatch/keyhatch/store"
)

// A changed value is what a change left in the store, and why other instances
// may not know of it.
type changed[T any] struct {
	value        T
	unpropagated error
}

// change makes a change of the store behind the fence of these keys, and tells the
// other instances. It does so too when the store gave no clear answer, failed or
// panicked, since the change may have happened. Then it calls report, also if the
// caller has given up meanwhile, unless write has failed.
func change[T any](ctx context.Context, m *Manager, t *turn, write func(context.Context) (T, error), report func(context.Context, T), keys ...cache.Key) (changed[T], error) {
	return propagate(ctx, m, t, func(ctx context.Context, stored func()) (done changed[T], err error) {
		done.unpropagated, err = m.keys.Change(ctx, keys, nil, func(ctx context.Context) (tell bool, err error) {
			done.value, err = bounded(ctx, m, stored, write)
			return !unchanged(err), err
		})
		if err == nil {
			report(ctx, done.value)
		}
		return done, err
	})
}

// propagateTime is what telling the others may take, beside the change itself: 500 ms
// for the shared cache, 2 s for the bus, and in RevokeAll 2 s for a list of the keys.
const propagateTime = listTime + 2*time.Second + sharedTime

// propagate is askAndTell with more time, where there are others to tell: what was
// changed must not look like an outage because they are slow to learn of it.
func propagate[T any](ctx context.Context, m *Manager, t *turn, call func(ctx context.Context, stored func()) (T, error)) (T, error) {
	wait := m.opts.CallTimeout
	if m.group != nil || m.opts.SharedCache != nil {
		wait += propagateTime
	}
	return askAndTell(ctx, t, wait, call)
}

// bounded gives the store its own time. It calls stored when the store has returned.
func bounded[T any](ctx context.Context, m *Manager, stored func(), write func(context.Context) (T, error)) (T, error) {
	defer stored()
	ctx, cancel := context.WithTimeout(ctx, m.opts.CallTimeout)
	defer cancel()
	value, err := write(ctx)
	return value, storeError(err)
}

// unchanged reports whether the store has said that the record is as it was.
// ErrConflict does not say so: an earlier try may have changed it.
func unchanged(err error) bool {
	return errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrDuplicate) || errors.Is(err, store.ErrLimit)
}

// notPropagated returns the error of a change that was made but not published, or
// nil if unpropagated is nil.
func (m *Manager) notPropagated(ctx context.Context, unpropagated error) error {
	if unpropagated == nil {
		return nil
	}
	m.log.LogAttrs(ctx, slog.LevelError, "apikey: a change was made but not published to other instances", slog.Any("error", unpropagated))
	return fmt.Errorf("%w: %w", ErrNotPropagated, unpropagated)
}
