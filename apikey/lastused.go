package apikey

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/keyhatch/keyhatch/store"
)

const (
	flushInterval = 10 * time.Second // what a crash can lose of last-used times
	touchBatch    = 1_000            // uses in one call of the store
	useShards     = 16
	maxShardUses  = 16_384 // in all 262,144 uses wait at most, 56 bytes each
)

// lastUsed gathers uses of keys and writes them in batches, so that a
// validation never waits for it. A key is written at most once in
// [Options.TouchInterval].
type lastUsed struct {
	m      *Manager
	shards [useShards]useShard // by digest

	full chan struct{} // asks for a flush before it is time
	stop chan struct{}
	done chan struct{}

	closing sync.Mutex
	closed  bool
}

type useShard struct {
	mu   sync.Mutex
	uses []store.Use
}

func newLastUsed(m *Manager) *lastUsed {
	u := &lastUsed{m: m, full: make(chan struct{}, 1), stop: make(chan struct{}), done: make(chan struct{})}
	go u.run()
	return u
}

func (u *lastUsed) run() {
	defer close(u.done)
	tick := time.NewTicker(flushInterval)
	defer tick.Stop()
	full := u.full
	for {
		select {
		case <-u.stop:
			return
		case <-tick.C:
			full = u.full
		case <-full:
		}
		if err := u.flush(context.Background()); err != nil {
			full = nil // a store that is down is tried at the next tick, not at every use
			u.warn(err)
		}
	}
}

// warn survives a Logger that panics, since nobody else would recover here.
func (u *lastUsed) warn(err error) {
	defer func() { _ = recover() }()
	u.m.log.Warn("apikey: last-used times not written, will try again", slog.Any("error", err))
}

// record notes a use of the key unless one was noted lately.
func (u *lastUsed) record(k *cachedKey, d store.Digest, now time.Time) {
	at, due := now.UnixMicro(), k.touchAfter.Load()
	if at < due || !k.touchAfter.CompareAndSwap(due, at+u.m.opts.TouchInterval.Microseconds()) {
		return
	}
	if !u.add(store.Use{Digest: d, At: time.UnixMicro(at).UTC()}) {
		k.touchAfter.Store(due) // no room: the next use tries again
	}
}

// add is false when no more uses can wait.
func (u *lastUsed) add(use store.Use) bool {
	s := &u.shards[use.Digest[31]%useShards]
	s.mu.Lock()
	room := len(s.uses) < maxShardUses
	if room {
		s.uses = append(s.uses, use)
	}
	s.mu.Unlock()
	if !room {
		select {
		case u.full <- struct{}{}:
		default:
		}
	}
	return room
}

// flush writes all that waits. What the store does not take waits on.
func (u *lastUsed) flush(ctx context.Context) error {
	var uses []store.Use
	for i := range u.shards {
		s := &u.shards[i]
		s.mu.Lock()
		uses = append(uses, s.uses...)
		s.uses = nil
		s.mu.Unlock()
	}
	// Sorted, since two instances that lock rows in different orders deadlock.
	slices.SortFunc(uses, func(a, b store.Use) int {
		if c := bytes.Compare(a.Digest[:], b.Digest[:]); c != 0 {
			return c
		}
		return b.At.Compare(a.At)
	})
	uses = slices.CompactFunc(uses, func(a, b store.Use) bool { return a.Digest == b.Digest })
	var failed error
	for batch := range slices.Chunk(uses, touchBatch) {
		// One batch that fails need not keep the others, unless time ran out.
		if !errors.Is(failed, context.DeadlineExceeded) && !errors.Is(failed, context.Canceled) {
			touch := func(ctx context.Context) (struct{}, error) { return struct{}{}, u.m.store.Touch(ctx, batch) }
			_, err := ask(ctx, u.m, touch)
			if err == nil {
				continue
			}
			failed = err
		}
		for _, use := range batch {
			u.add(use)
		}
	}
	return failed
}

func (u *lastUsed) close(ctx context.Context) error {
	u.closing.Lock()
	defer u.closing.Unlock()
	if !u.closed {
		u.closed = true
		close(u.stop)
	}
	select {
	case <-u.done:
	case <-ctx.Done():
		return ctx.Err()
	}
	if err := u.flush(ctx); err != nil {
		return errors.Join(ErrUnavailable, err)
	}
	return nil
}
