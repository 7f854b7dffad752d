package apikey

import (
	"context"
	"encoding/binary"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/keyhatch/keyhatch/cache"
	"github.com/keyhatch/keyhatch/store"
)

// levelTime bounds each call of [Options.SharedCache], which should bound itself to
// less. It is also no more than a quarter of CallTimeout, so that there is time
// left for the store.
const levelTime = 500 * time.Millisecond

// A secondLevel is [Options.SharedCache] as a Manager uses it. Without one it does
// nothing.
//
// What this Manager has changed, or heard of, it asks the store about for as
// long as anything from before can be in the level. A level may fail to delete,
// or lose that it has deleted when it fails over to a replica.
type secondLevel struct {
	cache.Shared
	m     *Manager
	start time.Time
	calls *places // bounds those at once, as of the store

	budget levelBudget

	// Until when a key or an owner is not asked about, in nanoseconds since
	// start. Several share a mark, by hash.
	marks [1 << 14]atomic.Int64
}

// newSecondLevel is nil when there is no level.
func newSecondLevel(m *Manager) *secondLevel {
	if m.opts.SharedCache == nil {
		return nil
	}
	return &secondLevel{Shared: m.opts.SharedCache, m: m, start: time.Now(), calls: newPlaces()}
}

// mark says that these keys or owners have changed. It must be called before
// the fence that ends what is in memory.
func (l *secondLevel) mark(keys ...cache.Key) {
	if l == nil {
		return
	}
	until := int64(time.Since(l.start) + l.m.opts.CacheTTL + cache.MaxLease)
	for i := range keys {
		l.at(&keys[i]).Store(until)
	}
}

func (l *secondLevel) marked(key cache.Key) bool {
	return int64(time.Since(l.start)) < l.at(&key).Load()
}

func (l *secondLevel) at(key *cache.Key) *atomic.Int64 {
	return &l.marks[int(binary.LittleEndian.Uint16(key[20:]))%len(l.marks)]
}

// find returns a record from the level, or a lease to keep one under.
func (l *secondLevel) find(ctx context.Context, d store.Digest) (found cache.Loaded[*cachedKey], lease string, ok bool) {
	// While the bus is lost, what was taken from the level could not be ended
	// by anyone.
	if l == nil || l.marked(cache.Key(d)) || l.m.feed != nil && !l.m.feed.Up() {
		return found, "", false
	}
	if !l.budget.allow(time.Since(l.start)) {
		return found, "", false
	}
	got, err := l.get(ctx, cache.Key(d))
	l.budget.record(err == nil)
	if err == nil && !young(got.item.Age, l.ttl(got.item.Absent)) && l.forget(ctx, cache.Key(d)) == nil {
		// An old entry cannot renew a cached one. Once it is deleted, there is a lease
		// for a new one.
		got, err = l.get(ctx, cache.Key(d))
	}
	item := got.item
	if err == cache.ErrMiss {
		return found, got.lease, false
	}
	if err != nil {
		l.m.log.LogAttrs(ctx, slog.LevelDebug, "apikey: second level failed", slog.Any("error", err))
		return found, "", false
	}
	if item.Absent {
		return cache.Loaded[*cachedKey]{Absent: true, Age: item.Age, Kept: true}, "", young(item.Age, l.m.opts.NegativeTTL)
	}
	r, err := decodeRecord(item.Value)
	if err != nil || !possible(r, d) || !young(item.Age, l.m.opts.CacheTTL) || l.m.ended.contradicts(r) {
		return found, "", false
	}
	found = l.m.loaded(r)
	if l.marked(found.Group) {
		return cache.Loaded[*cachedKey]{}, "", false
	}
	found.Age, found.Kept = item.Age, true
	return found, "", true
}

// get asks the level.
func (l *secondLevel) get(ctx context.Context, key cache.Key) (levelAnswer, error) {
	return callLevel(ctx, l, func(ctx context.Context) (got levelAnswer, err error) {
		got.item, got.lease, err = l.Get(ctx, key)
		return got, err
	})
}

// ttl is how long an entry lives.
func (l *secondLevel) ttl(absent bool) time.Duration {
	if absent {
		return l.m.opts.NegativeTTL
	}
	return l.m.opts.CacheTTL
}

// young reports whether an entry of that age is not yet renewed in memory, where
// that is done in the last fifth of a life from which up to a tenth is taken off.
func young(age, ttl time.Duration) bool { return age < ttl*7/10 }

// keep puts into the level what the store has said. That it does not is no
// harm.
func (l *secondLevel) keep(ctx context.Context, d store.Digest, lease string, r store.Record, absent bool) {
	if lease == "" {
		return
	}
	item, ttl := cache.Item{Absent: absent}, l.m.opts.NegativeTTL
	if !absent {
		value, err := encodeRecord(r)
		if err != nil {
			return
		}
		item.Value, ttl = value, l.m.opts.CacheTTL
	}
	_, _ = callLevel(ctx, l, func(ctx context.Context) (struct{}, error) {
		return struct{}{}, l.Set(ctx, cache.Key(d), lease, item, ttl)
	})
}

// forget removes keys from the level. Instances that do not hear of the change
// by the bus see it then too.
func (l *secondLevel) forget(ctx context.Context, keys ...cache.Key) error {
	if l == nil || len(keys) == 0 {
		return nil
	}
	// The caller's time may be over, but the change is made.
	_, err := callLevel(context.WithoutCancel(ctx), l, func(ctx context.Context) (struct{}, error) {
		return struct{}{}, l.Delete(ctx, keys...)
	})
	if err != nil {
		return fmt.Errorf("second level: %w", err)
	}
	return nil
}

// forgetOwner removes all keys of an owner, whatever their state.
func (l *secondLevel) forgetOwner(ctx context.Context, owner string) error {
	if l == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), toldTime)
	defer cancel()
	q := store.Query{Owner: owner}
	for {
		page, err := ask(ctx, l.m, func(ctx context.Context) (store.Page, error) { return l.m.store.List(ctx, q) })
		if err != nil {
			return fmt.Errorf("second level: the owner's keys: %w", err)
		}
		var keys []cache.Key
		for _, r := range page.Records {
			keys = append(keys, cache.Key(r.Digest))
		}
		if err := l.forget(ctx, keys...); err != nil {
			return err
		}
		if q.After = page.Next; q.After.IsZero() || len(keys) == 0 {
			return nil
		}
	}
}

// A levelAnswer is what [cache.Shared]'s Get returns.
type levelAnswer struct {
	item  cache.Item
	lease string
}

// callLevel is a call of the level, whatever the level does with it: one that
// hangs must hold up neither a validation nor a fence.
func callLevel[T any](ctx context.Context, l *secondLevel, call func(context.Context) (T, error)) (T, error) {
	return askFor(ctx, l.calls, min(levelTime, l.m.opts.CallTimeout/4), func() {}, call)
}
