package apikey

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/keyhatch/keyhatch/cache"
	"github.com/keyhatch/keyhatch/store"
)

const (
	flushInterval = 10 * time.Second // a crash loses the last-used times since the last flush
	touchBatch    = 1_000            // uses in one store call
	useShards     = 16
	maxShardUses  = 16_384 // at most 262,144 uses in all shards, of 64 bytes each
)

// lastUsed collects uses of keys and writes them in batches, so that no validation
// waits for a write. A key is written at most once in [Options.TouchInterval].
type lastUsed struct {
	m      *Manager
	shards [useShards]useShard // by digest

	inFlight struct { // uses that a flush is writing
		mu   sync.Mutex
		uses []waitingUse
	}

	full chan struct{} // starts a flush before flushInterval has passed

	flushing *background
	closing  sync.Mutex
}

type useShard struct {
	mu   sync.Mutex
	uses []waitingUse
}

// A waitingUse is a pending use, which the store does not have yet.
type waitingUse struct {
	store.Use
	owner uint64 // the result of ownerBytes, to find an owner's uses
}

func ownerBytes(owner cache.Key) uint64 { return binary.LittleEndian.Uint64(owner[:]) }

func newLastUsed(m *Manager) *lastUsed {
	u := &lastUsed{m: m, full: make(chan struct{}, 1)}
	u.flushing = startBackground(u.run)
	return u
}

func (u *lastUsed) run(ctx context.Context) {
	tick := time.NewTicker(flushInterval)
	defer tick.Stop()
	full := u.full
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			full = u.full
		case <-full:
		}
		if err := u.flush(context.Background()); err != nil {
			full = nil // until the next tick, so that a failing store is not called at every use
			u.warn(err)
		}
	}
}

// warn recovers from a panic of the Logger, which would end the program here.
func (u *lastUsed) warn(err error) {
	defer func() { _ = recover() }()
	u.m.log.Warn("apikey: last-used times could not be written; will retry", slog.Any("error", err))
}

// record adds a use of the key, unless one was added within TouchInterval.
func (u *lastUsed) record(k *cachedKey, p *Principal, d store.Digest, now cache.Time) {
	at, due := now.UnixMicro(), k.touchAfter.Load()
	if at < due || !k.touchAfter.CompareAndSwap(due, at+u.m.opts.TouchInterval.Microseconds()) {
		return
	}
	if !u.add(waitingUse{store.Use{Digest: d, At: time.UnixMicro(at).UTC()}, ownerBytes(ownerKey(p.Owner()))}) {
		k.touchAfter.Store(due) // no room: the next use tries again
	}
}

func (u *lastUsed) shardOf(d store.Digest) *useShard { return &u.shards[d[31]%useShards] }

// add returns false if the shard is full.
func (u *lastUsed) add(use waitingUse) bool {
	s := u.shardOf(use.Digest)
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

// flush writes all pending uses. Uses that the store does not accept stay pending.
func (u *lastUsed) flush(ctx context.Context) error {
	u.inFlight.mu.Lock()
	for i := range u.shards {
		s := &u.shards[i]
		s.mu.Lock()
		u.inFlight.uses = append(u.inFlight.uses, s.uses...)
		s.uses = nil
		s.mu.Unlock()
	}
	uses := u.inFlight.uses
	u.inFlight.mu.Unlock()
	defer func() {
		u.inFlight.mu.Lock()
		defer u.inFlight.mu.Unlock()
		u.inFlight.uses = nil
	}()
	return u.write(ctx, slices.Clone(uses))
}

// flushKey writes the uses of a key that is about to be revoked, since the store does
// not record them afterwards. It takes at most a quarter of CallTimeout. If it fails,
// the key is still revoked.
func (u *lastUsed) flushKey(ctx context.Context, d store.Digest) {
	u.flushFirst(ctx, func(use waitingUse) bool { return use.Digest == d }, u.shardOf(d))
}

// flushOwner is like flushKey, for all keys of an owner. It reports whether it wrote all
// uses.
func (u *lastUsed) flushOwner(ctx context.Context, owner string) bool {
	key := ownerBytes(ownerKey(owner))
	shards := make([]*useShard, useShards)
	for i := range shards {
		shards[i] = &u.shards[i]
	}
	return u.flushFirst(ctx, func(use waitingUse) bool { return use.owner == key }, shards...)
}

func (u *lastUsed) flushFirst(ctx context.Context, matches func(waitingUse) bool, shards ...*useShard) bool {
	// The uses in flight may reach the store only after the revocation, so they are
	// written here too.
	u.inFlight.mu.Lock()
	uses := selected(u.inFlight.uses, matches)
	u.inFlight.mu.Unlock()
	for _, s := range shards {
		s.mu.Lock()
		if found := selected(s.uses, matches); len(found) > 0 {
			uses = append(uses, found...)
			s.uses = slices.DeleteFunc(s.uses, matches)
		}
		s.mu.Unlock()
	}
	ctx, cancel := context.WithTimeout(ctx, u.m.opts.CallTimeout/4)
	defer cancel()
	err := u.write(ctx, uses)
	if err != nil {
		u.warn(err)
	}
	return err == nil
}

func selected(uses []waitingUse, matches func(waitingUse) bool) (found []waitingUse) {
	for _, use := range uses {
		if matches(use) {
			found = append(found, use)
		}
	}
	return found
}

// write passes uses to the store. Uses that it does not accept stay pending.
func (u *lastUsed) write(ctx context.Context, uses []waitingUse) error {
	u.clamp(uses)
	// Sorted, since two instances that lock rows in different orders could deadlock.
	slices.SortFunc(uses, func(a, b waitingUse) int {
		if c := bytes.Compare(a.Digest[:], b.Digest[:]); c != 0 {
			return c
		}
		return b.At.Compare(a.At)
	})
	uses = slices.CompactFunc(uses, func(a, b waitingUse) bool { return a.Digest == b.Digest })
	var failed error
	for batch := range slices.Chunk(uses, touchBatch) {
		// If a batch fails, the others are still tried, unless the time has run out.
		if !errors.Is(failed, context.DeadlineExceeded) && !errors.Is(failed, context.Canceled) {
			err := u.touch(ctx, batch)
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

func (u *lastUsed) touch(ctx context.Context, batch []waitingUse) error {
	uses := make([]store.Use, len(batch))
	for i := range batch {
		uses[i] = batch[i].Use
	}
	_, err := callStore(ctx, u.m, func(ctx context.Context) (struct{}, error) { return struct{}{}, u.m.store.Touch(ctx, uses) })
	return err
}

// clamp changes the times of uses that are in the future to now. Such uses were recorded
// before the clock was set back.
func (u *lastUsed) clamp(uses []waitingUse) {
	latest := now()
	for i := range uses {
		uses[i].At = earlier(uses[i].At, latest)
	}
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

func (u *lastUsed) close(ctx context.Context) error {
	u.closing.Lock()
	defer u.closing.Unlock()
	if err := u.flushing.close(ctx); err != nil {
		return err
	}
	if err := u.flush(ctx); err != nil {
		return errors.Join(ErrUnavailable, err)
	}
	return nil
}
