package cache

import (
	"context"
	"encoding/binary"
	"errors"
	"sync/atomic"

	"github.com/keyhatch/keyhatch/internal/guard"
)

// Change calls write, which changes values in the source: the values of the given keys, and all
// values that were loaded with one of the given tags; see [Loaded]. A Get or Load of this cache
// that starts during or after write never returns an older entry. Change then deletes the keys
// from the shared cache and notifies the other instances of the [Group]. If ctx ends, only the
// deletion and the notification end.
//
// write runs in its own goroutine. publish is false if nothing was changed, so that other
// instances need not be notified. If write panics or ends its goroutine, Change returns an
// error and notifies the others, since the change may have been made. If write hangs, so
// does Change, and none of the keys is served from memory.
//
// err is write's error. If unpropagated is not nil, other instances may not know of the
// change, and may serve old entries until these expire.
func (c *Cache[V]) Change(ctx context.Context, keys, tags []Key, write func(context.Context) (publish bool, err error)) (unpropagated, err error) {
	c.hold(keys, tags)
	publish := true
	err = guard.Run(func() (err error) {
		publish, err = write(ctx)
		return err
	})
	if !publish {
		c.release(keys, tags)
		return nil, err
	}
	undeleted := c.shared.invalidate(ctx, keys, tags) // before the release, or a load could find the old entry
	c.release(keys, tags)
	unsent := c.group.publish(ctx, keys, tags)
	return errors.Join(undeleted, unsent), err
}

// hold invalidates the entries of these keys and tags, and keeps new ones from
// being served until they are released.
func (c *Cache[V]) hold(keys, tags []Key) {
	for i := range keys {
		c.epochOf(&keys[i]).begin()
	}
	for i := range tags {
		c.tags[tagOf(&tags[i])].begin()
	}
}

func (c *Cache[V]) release(keys, tags []Key) {
	for i := range keys {
		c.epochOf(&keys[i]).end()
	}
	for i := range tags {
		c.tags[tagOf(&tags[i])].end(&c.gen)
	}
}

// invalidate implements member. Another instance has changed these keys and tags.
func (c *Cache[V]) invalidate(keys, tags []Key) {
	c.shared.bypass(keys, tags) // first, so that no load finds an old entry there
	c.hold(keys, tags)
	c.release(keys, tags)
}

// stripes is the number of epochs. Keys and tags share the epochs: a hash determines the epoch of
// each. A write invalidates the entries of all keys in its stripe, about one in 16,384.
const stripes = 1 << 14

// An epoch fences cached entries. It has three counters, from the highest bits: of writes,
// of stale marks, and of writes in progress. Entries only carry epochs without a write in
// progress. So a single comparison shows that no key of the stripe was written or marked
// stale since, or is being written now.
type epoch struct{ atomic.Uint64 }

const (
	oneWriter  = 1
	oneStale   = 1 << 20
	oneVersion = 1 << 32

	writers    = oneStale - oneWriter
	staleMarks = oneVersion - oneStale // their overflow counts as a write, which does no harm
)

// begin advances the epoch, and prevents fills and hits until end, which advances it
// again. Even if only end advanced it, no entry would be served after its key was revoked. Since
// begin advances it too, the cache is also linearizable.
func (e *epoch) begin() { e.Add(oneVersion + oneWriter) }
func (e *epoch) end()   { e.Add(oneVersion - oneWriter) }

// markStale advances the epoch of keys that may have been written elsewhere.
func (e *epoch) markStale() { e.Add(oneStale) }

// quiet reports whether no write is in progress.
func quiet(epoch uint64) bool { return epoch&writers == 0 }

// written reports whether an entry's epoch and the current one differ by more than stale
// marks.
func written(epoch, now uint64) bool { return (epoch^now)&^staleMarks != 0 }

// epochOf returns the epoch of the key's stripe.
func (c *Cache[V]) epochOf(key *Key) *epoch { return &c.epochs[stripeOf(key)] }

// stripeOf uses other bytes of the key than idOf.
func stripeOf(key *Key) uint64 { return binary.LittleEndian.Uint64(key[8:]) % stripes }

// A tagEpoch is the epoch of a stripe of tags. It also records when the latest write
// of one of these tags ended.
type tagEpoch struct {
	epoch
	ended atomic.Uint64 // Cache.gen after that write
}

// noTag is the index of the epoch of keys without a tag, which never changes.
const noTag = stripes

// tagOf returns the index of a tag's epoch.
func tagOf(key *Key) uint16 { return uint16(stripeOf(key)) }

// end ends a write. It advances gen first: a load that reads gen afterwards begins
// after the write.
func (t *tagEpoch) end(gen *atomic.Uint64) {
	now := gen.Add(1)
	for last := t.ended.Load(); last < now && !t.ended.CompareAndSwap(last, now); last = t.ended.Load() {
	}
	t.epoch.end()
}

// since returns the tag's epoch. It reports whether no write of the tag is in
// progress, and none has ended since gen was read.
func (t *tagEpoch) since(gen uint64) (epoch uint64, same bool) {
	epoch = t.Load() // first: a write sets ended before it advances the epoch
	return epoch, quiet(epoch) && t.ended.Load() <= gen
}
