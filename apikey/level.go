package apikey

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/keyhatch/keyhatch/cache"
	"github.com/keyhatch/keyhatch/store"
)

// levelTime bounds each call of [Options.Level], which should bound itself to
// less.
const levelTime = 500 * time.Millisecond

// A secondLevel is [Options.Level] as a Manager uses it. Without one it does
// nothing.
type secondLevel struct {
	cache.Level // nil: none
	m           *Manager
	start       time.Time
	until       atomic.Int64 // nanoseconds since start: till then it is not believed
}

func (l *secondLevel) init(m *Manager) { l.Level, l.m, l.start = m.opts.Level, m, time.Now() }

// usable reports whether what the level says may be kept in memory.
func (l *secondLevel) usable() bool {
	// While the bus is lost, what was taken from the level could not be ended
	// by anyone.
	return l.Level != nil && int64(time.Since(l.start)) >= l.until.Load() && (l.m.feed == nil || l.m.feed.Up())
}

// find returns a record from the level, or a lease to keep one under.
func (l *secondLevel) find(ctx context.Context, d store.Digest) (found cache.Loaded[*cachedKey], lease string, ok bool) {
	if !l.usable() {
		return found, "", false
	}
	var item cache.Item
	err := l.call(ctx, func(ctx context.Context) (err error) {
		item, lease, err = l.Get(ctx, cache.Key(d))
		return err
	})
	if err == cache.ErrMiss {
		return found, lease, false
	}
	if err != nil {
		l.m.log.LogAttrs(ctx, slog.LevelDebug, "apikey: second level failed", slog.Any("error", err))
		return found, "", false
	}
	if item.Absent {
		return cache.Loaded[*cachedKey]{Absent: true, Age: item.Age}, "", item.Age < l.m.opts.NegativeTTL
	}
	r, err := decodeRecord(item.Value)
	if err != nil || !possible(r, d) || item.Age >= l.m.opts.CacheTTL {
		return found, "", false
	}
	found = l.m.loaded(r)
	found.Age = item.Age
	return found, "", true
}

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
	_ = l.call(ctx, func(ctx context.Context) error { return l.Set(ctx, cache.Key(d), lease, item, ttl) })
}

// forget removes keys from the level. When it cannot, this Manager does without
// the level until what is there has ended by itself.
func (l *secondLevel) forget(ctx context.Context, keys ...cache.Key) error {
	if l.Level == nil || len(keys) == 0 {
		return nil
	}
	// The caller's time may be over, but the change is made.
	err := l.call(context.WithoutCancel(ctx), func(ctx context.Context) error { return l.Delete(ctx, keys...) })
	if err != nil {
		l.distrust()
		return fmt.Errorf("second level: %w", err)
	}
	return nil
}

func (l *secondLevel) distrust() {
	l.until.Store(int64(time.Since(l.start) + l.m.opts.CacheTTL + cache.MaxLease))
}

func (l *secondLevel) call(ctx context.Context, f func(context.Context) error) (err error) {
	ctx, cancel := context.WithTimeout(ctx, levelTime)
	defer cancel()
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	return f(ctx)
}
