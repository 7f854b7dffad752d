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

// A changed holds the store's result of a change, and the reason why other instances may
// not know of the change.
type changed[T any] struct {
	value        T
	unpropagated error
}

// change fences the keys, calls write, which changes the store, and notifies the other instances.
// It notifies them even if write fails, since the change may have been made. If write succeeds,
// change then calls report, even if the caller of change no longer waits.
func change[T any](ctx context.Context, m *Manager, p *permit, write func(context.Context) (T, error), report func(context.Context, T), keys ...cache.Key) (changed[T], error) {
	return callAndPublish(ctx, m, p, func(ctx context.Context, stored func()) (done changed[T], err error) {
		done.unpropagated, err = m.keys.Change(ctx, keys, nil, func(ctx context.Context) (publish bool, err error) {
			done.value, err = bounded(ctx, m, stored, write)
			return !unchanged(err), err
		})
		if err == nil {
			report(ctx, done.value)
		}
		return done, err
	})
}

// publishTime bounds the time to notify other instances of a change: 500 ms for the
// shared cache, 2 s for the bus, and in RevokeAll 2 s to list the keys.
const publishTime = listTime + 2*time.Second + sharedTime

// callAndPublish is like runPermitted. Its timeout is CallTimeout, plus publishTime if there are
// other instances to notify. A change that was made must not look like an outage because the bus
// is slow.
func callAndPublish[T any](ctx context.Context, m *Manager, p *permit, call func(ctx context.Context, stored func()) (T, error)) (T, error) {
	wait := m.opts.CallTimeout
	if m.group != nil || m.opts.SharedCache != nil {
		wait += publishTime
	}
	return runPermitted(ctx, p, wait, call)
}

// bounded calls write with CallTimeout and classifies its error. It calls stored when
// write has returned.
func bounded[T any](ctx context.Context, m *Manager, stored func(), write func(context.Context) (T, error)) (T, error) {
	defer stored()
	ctx, cancel := context.WithTimeout(ctx, m.opts.CallTimeout)
	defer cancel()
	value, err := write(ctx)
	return value, storeError(err)
}

// unchanged reports whether err says that the store changed nothing. ErrConflict does
// not say so: an earlier attempt may have changed the record.
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
