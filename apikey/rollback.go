package apikey

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"log/slog"
	"time"

	"github.com/keyhatch/keyhatch/cache"
	"github.com/keyhatch/keyhatch/store"
)

const (
	lookPause    = 10 * time.Second    // time between two reads of the count of revocations
	confirmPause = 2 * time.Second     // time until a lower count is read again
	seenTTL      = 30 * 24 * time.Hour // TTL of the highest count in the shared cache
	warnPause    = 10 * time.Minute    // time between two warnings that the count cannot be read
	settlePause  = 3 * lookPause       // time until all instances have noticed a rollback, and no old count is on the bus
)

// A countWatch compares the store's count of revocations with the highest one that any
// instance has seen. A lower count shows that the database was rolled back to an
// earlier state and has lost revocations: a backup was restored, or a standby that
// lacked the latest writes took over.
//
// It does not notice a loss if at least as many new revocations were made before its next
// comparison. It does not notice a rollback to a state from before the count existed either.
type countWatch struct {
	m       *Manager
	counter store.RevocationCounter
	seen    store.Revocations // the highest that this instance has seen
	settled time.Time         // when counts on the bus are compared again after a report
	warned  time.Time         // when it was last logged that the count cannot be read
}

// startCountWatch returns nil if the store does not count.
func startCountWatch(m *Manager) *background {
	counter, ok := m.store.(store.RevocationCounter)
	if !ok {
		return nil
	}
	return startBackground((&countWatch{m: m, counter: counter}).run)
}

func (w *countWatch) run(ctx context.Context) {
	for {
		if err := w.lookSafely(ctx); errors.Is(err, errors.ErrUnsupported) {
			return
		} else if err != nil {
			w.warn(ctx, err)
		}
		if !pauseFor(ctx, lookPause) {
			return
		}
	}
}

// warn logs at most one line in warnPause.
func (w *countWatch) warn(ctx context.Context, err error) {
	defer func() { _ = recover() }()
	if ctx.Err() != nil || !w.warned.IsZero() && time.Since(w.warned) < warnPause {
		return
	}
	w.warned = time.Now()
	w.m.log.LogAttrs(ctx, slog.LevelWarn, "apikey: cannot read the revocation count; "+
		"a database rollback would go undetected", slog.Any("error", err))
}

func pauseFor(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// lookSafely calls look, and recovers if a Logger or an OnEvent panics.
func (w *countWatch) lookSafely(ctx context.Context) error {
	defer func() { _ = recover() }()
	return w.look(ctx)
}

// look compares the counts once. It reads the highest count first, which may come from the shared
// cache or from the bus, and then the count in the store. The second count is lower only if the
// store was rolled back.
func (w *countWatch) look(ctx context.Context) error {
	if w.seen.Lineage == "" {
		first, err := w.read(ctx)
		if err != nil {
			return err
		}
		w.seen = first
	}
	shared, kept := w.shared(ctx)
	mark := w.m.mark.Load()
	highest := max(w.seen.Count, shared.count, w.marked(mark))
	count, err := w.read(ctx)
	if err != nil {
		return err
	}
	if count.Lineage == w.seen.Lineage && count.Count < highest {
		// Read it once more, in case a node of a cluster lagged for a moment.
		if !pauseFor(ctx, confirmPause) {
			return nil
		}
		if count, err = w.read(ctx); err != nil {
			return err
		}
	}
	back := count.Lineage == w.seen.Lineage && count.Count < highest
	w.seen = count
	w.m.mark.CompareAndSwap(mark, 0)
	w.tell()
	if back || !kept || count.Count > shared.count || shared.age > seenTTL/2 {
		w.share(ctx, count)
	}
	if back {
		w.settled = time.Now().Add(settlePause)
		w.report(ctx, count.Count, highest)
	}
	return nil
}

func (w *countWatch) read(ctx context.Context) (store.Revocations, error) {
	r, err := callStore(ctx, w.m, w.counter.Revocations)
	if err == nil && (r.Lineage == "" || r.Count < 0) {
		err = errWrongRecord
	}
	return r, err
}

func (w *countWatch) report(ctx context.Context, count, highest int64) {
	w.m.keys.MarkStale() // cached keys may be from before or after the rollback
	w.m.log.LogAttrs(ctx, slog.LevelError, "apikey: the database was rolled back to an earlier state and has lost revocations: "+
		"keys revoked since then may be accepted again. Retire the MAC key or revoke them again; see After a restore in SECURITY.md",
		slog.Int64("revocations", count), slog.Int64("revocations_before", highest))
	if w.m.opts.OnEvent != nil {
		w.m.opts.OnEvent(ctx, Event{Kind: EventRolledBack, Time: now()})
	}
}

// A mark is a number that instances send each other over the bus. It holds a count, and a tag of
// the lineage of the tables that were counted, so that counts of different tables are not
// compared.
const tagBits = 20

func (w *countWatch) tag() uint64 {
	key := w.key()
	return uint64(binary.BigEndian.Uint32(key[:])) >> (32 - tagBits)
}

// tell makes the Group send the count with its next messages.
func (w *countWatch) tell() {
	if w.seen.Count < 1<<(64-tagBits) {
		w.m.ownMark.Store(uint64(w.seen.Count)<<tagBits | w.tag())
	}
}

// marked returns the count of a mark. It returns 0 if the mark belongs to other tables, or may be
// older than a reported rollback.
func (w *countWatch) marked(mark uint64) int64 {
	if mark&(1<<tagBits-1) != w.tag() || time.Now().Before(w.settled) {
		return 0
	}
	return int64(mark >> tagBits)
}

// A sharedCount is the highest count in the shared cache.
type sharedCount struct {
	count int64
	age   time.Duration
}

// key returns the key of the count in the shared cache. It depends on the lineage of the tables.
func (w *countWatch) key() cache.Key {
	return sha256.Sum256([]byte("keyhatch: count of revocations\x00" + w.seen.Lineage))
}

// shared returns the highest count in the shared cache. kept is false only if the shared cache
// works and has no count.
func (w *countWatch) shared(ctx context.Context) (c sharedCount, kept bool) {
	if w.m.opts.SharedCache == nil {
		return c, true
	}
	item, _, err := w.getShared(ctx)
	switch {
	case errors.Is(err, cache.ErrMiss):
		return c, false
	case err != nil || item.Absent || len(item.Value) != 8:
		return c, true
	}
	return sharedCount{int64(binary.BigEndian.Uint64(item.Value)), item.Age}, true
}

func (w *countWatch) getShared(ctx context.Context) (item cache.Item, lease string, err error) {
	type reply struct {
		item  cache.Item
		lease string
	}
	a, err := callShared(ctx, w.m, func(ctx context.Context) (a reply, err error) {
		a.item, a.lease, err = w.m.opts.SharedCache.Get(ctx, w.key())
		return a, err
	})
	return a.item, a.lease, err
}

// share replaces the count in the shared cache. If it fails, the next call of look tries again.
func (w *countWatch) share(ctx context.Context, r store.Revocations) {
	shared := w.m.opts.SharedCache
	if shared == nil {
		return
	}
	_, err := callShared(ctx, w.m, func(ctx context.Context) (struct{}, error) { return struct{}{}, shared.Delete(ctx, w.key()) })
	if err != nil {
		return
	}
	_, lease, err := w.getShared(ctx)
	if !errors.Is(err, cache.ErrMiss) {
		return
	}
	item := cache.Item{Value: binary.BigEndian.AppendUint64(nil, uint64(r.Count))}
	_, _ = callShared(ctx, w.m, func(ctx context.Context) (struct{}, error) {
		return struct{}{}, shared.Set(ctx, w.key(), lease, item, seenTTL)
	})
}
