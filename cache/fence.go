package cache

import (
	"encoding/binary"
	"sync/atomic"
)

// stripes is how many epochs there are; keys and groups share them by hash. A
// write ends the entries of all keys in its stripe, about one in 16,384.
const stripes = 1 << 14

// A word is an epoch and the count of writes under way, in one: from above, how
// often something was written, how often it was doubted, and how many writes
// there are. Entries only ever carry words without a write under way, so that
// one comparison tells that nothing was written or doubted since, and that
// nothing is being written now.
type word struct{ atomic.Uint64 }

const (
	oneWriter  = 1
	oneDoubt   = 1 << 20
	oneVersion = 1 << 32

	writers = oneDoubt - oneWriter
	doubts  = oneVersion - oneDoubt // their overflow counts as a write, which is no harm
)

// begin moves the epoch and holds off fills and hits until end, which moves it
// again. Moving it only afterwards would be enough never to serve an entry
// after its key was revoked; both together are what is linearizable.
func (w *word) begin() { w.Add(oneVersion + oneWriter) }
func (w *word) end()   { w.Add(oneVersion - oneWriter) }

// doubt moves the epoch of what may have been written elsewhere.
func (w *word) doubt() { w.Add(oneDoubt) }

// quiet reports whether no write is under way.
func quiet(epoch uint64) bool { return epoch&writers == 0 }

// written reports whether more than doubts lies between an entry's epoch and
// now.
func written(epoch, now uint64) bool { return (epoch^now)&^doubts != 0 }

// A stripe is the epoch of some of the keys, beside those two of their entries
// that were hit last, which spare most hits the way through ristretto.
type stripe[V any] struct {
	word word

	// The absent entry has a place of its own, as in the shelves, so that
	// unknown keys cannot push out known ones.
	present, absent atomic.Pointer[entry[V]]
}

// stripe uses bytes that ristretto does not choose its shards by.
func (c *Cache[V]) stripe(key *Key) *stripe[V] {
	return &c.stripes[binary.LittleEndian.Uint64(key[8:])%stripes]
}

// A group is the epoch of the keys whose values were loaded as part of some of the
// groups, and when the latest write of one of these groups ended.
type group struct {
	word
	ended atomic.Uint64 // what Cache.gen was after it
}

// noGroup is the index of the epoch of keys in no group, which never moves.
const noGroup = stripes

// groupOf returns the index of a group's epoch.
func groupOf(key *Key) uint16 { return uint16(binary.LittleEndian.Uint64(key[8:]) % stripes) }

// end ends a write, of which gen is told first: a load that reads gen afterwards
// begins after the write.
func (g *group) end(gen *atomic.Uint64) {
	now := gen.Add(1)
	for last := g.ended.Load(); last < now && !g.ended.CompareAndSwap(last, now); last = g.ended.Load() {
	}
	g.word.end()
}

// since returns the group's epoch, and reports whether no write of it has ended
// since gen was read and none is under way.
func (g *group) since(gen uint64) (epoch uint64, same bool) {
	epoch = g.Load() // first: a write that has moved it has set ended before
	return epoch, quiet(epoch) && g.ended.Load() <= gen
}

// recent returns the entry for the key among those hit last, or nil.
func (s *stripe[V]) recent(key *Key) *entry[V] {
	if e := s.present.Load(); e != nil && equal(&e.key, key) {
		return e
	}
	if e := s.absent.Load(); e != nil && equal(&e.key, key) {
		return e
	}
	return nil
}

func (s *stripe[V]) keepRecent(e *entry[V]) {
	if e.absent {
		s.absent.Store(e)
	} else {
		s.present.Store(e)
	}
}

// Write calls write, which changes the values of these keys, and invalidates their
// entries. A Get or Load that starts during or after write never returns an older
// entry. This also holds if write fails or panics, since the change may have been
// made. Write returns write's error.
func (c *Cache[V]) Write(write func() error, keys ...Key) error {
	for i := range keys {
		w := &c.stripe(&keys[i]).word
		w.begin()
		defer w.end()
	}
	return write()
}

// WriteGroup is like Write for all keys whose values were loaded with this group;
// see [Loaded].
func (c *Cache[V]) WriteGroup(write func() error, group Key) error {
	g := &c.groups[groupOf(&group)]
	g.begin()
	defer g.end(&c.gen)
	return write()
}
