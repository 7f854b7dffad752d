package cache

import (
	"context"
	"encoding/binary"
	"errors"
	"sync/atomic"

	"github.com/keyhatch/keyhatch/internal/guard"
)

// Change calls write, which changes the values of these keys in the source, or of
// all keys that were loaded with one of these groups; see [Loaded]. A Get or Load of
// this cache that starts during or after write never returns an older entry. Change
// then deletes the keys from the shared cache and tells the other instances of the
// [Group]; for this alone it observes the end of ctx.
//
// write runs in a goroutine of its own. publish is false if others need not be told,
// because nothing was changed. If write
// panics or ends its goroutine, Change returns an error and tells the others, since
// the change may have been made. If write hangs, so does Change, and none of the
// keys is served from memory.
//
// err is write's error. unpropagated is why other instances may not know of the
// change. They may then serve old entries until these expire.
func (c *Cache[V]) Change(ctx context.Context, keys, groups []Key, write func(context.Context) (publish bool, err error)) (unpropagated, err error) {
	c.hold(keys, groups)
	publish := true
	err = guard.Run(func() (err error) {
		publish, err = write(ctx)
		return err
	})
	if !publish {
		c.release(keys, groups)
		return nil, err
	}
	undeleted := c.shared.forget(ctx, keys, groups) // before the release, or a load could find what was there
	c.release(keys, groups)
	unsent := c.group.publish(ctx, keys, groups)
	return errors.Join(undeleted, unsent), err
}

// hold invalidates the entries of these keys and groups, and keeps new ones from
// being served until they are released.
func (c *Cache[V]) hold(keys, groups []Key) {
	for i := range keys {
		c.epochOf(&keys[i]).begin()
	}
	for i := range groups {
		c.groups[groupOf(&groups[i])].begin()
	}
}

func (c *Cache[V]) release(keys, groups []Key) {
	for i := range keys {
		c.epochOf(&keys[i]).end()
	}
	for i := range groups {
		c.groups[groupOf(&groups[i])].end(&c.gen)
	}
}

// invalidate implements member: another instance has changed these.
func (c *Cache[V]) invalidate(keys, groups []Key) {
	c.shared.distrust(keys, groups) // first, so that no load finds there what was before
	c.hold(keys, groups)
	c.release(keys, groups)
}

// stripes is how many epochs there are; keys and groups share them by hash. A
// write ends the entries of all keys in its stripe, about one in 16,384.
const stripes = 1 << 14

// An epoch fences cached entries. It counts, from above, how often something was
// written, how often it was marked stale, and how many writes are under way.
// Entries only ever carry epochs without a write under way, so that one comparison
// tells that nothing was written or marked stale since, and that nothing is being
// written now.
type epoch struct{ atomic.Uint64 }

const (
	oneWriter  = 1
	oneStale   = 1 << 20
	oneVersion = 1 << 32

	writers    = oneStale - oneWriter
	staleMarks = oneVersion - oneStale // their overflow counts as a write, which is no harm
)

// begin moves the epoch and holds off fills and hits until end, which moves it
// again. Moving it only afterwards would be enough never to serve an entry
// after its key was revoked; both together are what is linearizable.
func (e *epoch) begin() { e.Add(oneVersion + oneWriter) }
func (e *epoch) end()   { e.Add(oneVersion - oneWriter) }

// markStale moves the epoch of what may have been written elsewhere.
func (e *epoch) markStale() { e.Add(oneStale) }

// quiet reports whether no write is under way.
func quiet(epoch uint64) bool { return epoch&writers == 0 }

// written reports whether more than marks of staleness lies between an entry's
// epoch and now.
func written(epoch, now uint64) bool { return (epoch^now)&^staleMarks != 0 }

// epochOf returns the epoch of the key's stripe.
func (c *Cache[V]) epochOf(key *Key) *epoch { return &c.epochs[stripeOf(key)] }

// stripeOf uses bytes by which the table does not look for entries.
func stripeOf(key *Key) uint64 { return binary.LittleEndian.Uint64(key[8:]) % stripes }

// A groupEpoch is the epoch of the keys whose values were loaded with one of some
// groups, and when the latest write of one of these groups ended.
type groupEpoch struct {
	epoch
	ended atomic.Uint64 // what Cache.gen was after it
}

// noGroup is the index of the epoch of keys in no group, which never moves.
const noGroup = stripes

// groupOf returns the index of a group's epoch.
func groupOf(key *Key) uint16 { return uint16(stripeOf(key)) }

// end ends a write. It advances gen first: a load that reads gen afterwards begins
// after the write.
func (g *groupEpoch) end(gen *atomic.Uint64) {
	now := gen.Add(1)
	for last := g.ended.Load(); last < now && !g.ended.CompareAndSwap(last, now); last = g.ended.Load() {
	}
	g.epoch.end()
}

// since returns the group's epoch, and reports whether no write of it has ended
// since gen was read and none is under way.
func (g *groupEpoch) since(gen uint64) (epoch uint64, same bool) {
	epoch = g.Load() // first: a write that has moved it has set ended before
	return epoch, quiet(epoch) && g.ended.Load() <= gen
}
