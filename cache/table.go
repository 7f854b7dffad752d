package cache

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"math/bits"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dgraph-io/ristretto/v2"
)

// A table keeps the entries of a cache. get finds them in slots, without a lock and without
// allocating. ristretto, which only this type uses, decides which of the present entries to
// keep: it counts the loads and some of the hits, and the table removes what it evicts.
//
// Absent entries have slots of their own, so that a flood of unknown keys cannot evict
// known ones. They expire soon, so the slots alone decide which of them to keep.
type table[V any] struct {
	present, absent slots[V]
	policy          *ristretto.Cache[uint64, struct{}] // by id
	hitLimit        atomic.Uint32                      // of entry.counted
	gate            gate
	size            int
	decisions       int // evictions and rejections; used by ristretto's goroutine alone

	// Writers of a key hold its lock, so that a key has at most one entry.
	locks [64]sync.Mutex
}

// open creates a table for size values, and a tenth as many absent entries.
func (t *table[V]) open(size int) (err error) {
	t.present.open(max(2*size+size/2, 2*bucketSize), max(size+size/8, size+1)) // so many that both buckets of a key are hardly ever full
	t.absent.open(size/10, math.MaxInt)                                        // full buckets bound them
	t.size = size
	t.policy, err = ristretto.NewCache(&ristretto.Config[uint64, struct{}]{
		NumCounters: 10 * int64(size),
		MaxCost:     int64(size),
		BufferItems: 64,
		// Without this, ristretto adds the size of its own item in bytes to the cost of an entry,
		// which is 1. A cache of 10,000 entries would hold only 175.
		IgnoreInternalCost: true,
		KeyToHash:          func(k uint64) (uint64, uint64) { return k, 0 },
		OnEvict:            t.evicted,
		OnReject:           t.rejected,
	})
	if err != nil {
		return fmt.Errorf("cache: size %d: %w", size, err)
	}
	return nil
}

// evicted removes an entry that ristretto evicts.
func (t *table[V]) evicted(item *ristretto.Item[struct{}]) {
	t.decided()
	t.present.removeID(item.Key)
}

// rejected removes an entry that ristretto does not admit. Of two quick Sets of a key,
// ristretto also rejects the second; then it keeps the key.
func (t *table[V]) rejected(item *ristretto.Item[struct{}]) {
	t.decided()
	if _, kept := t.policy.GetTTL(item.Key); !kept { // Get would count the load twice
		t.present.removeID(item.Key)
	}
}

// idOf returns the id of a key in ristretto. Its bits also choose the slots and the fingerprint.
// Other bytes of a key are used by stripeOf (8 to 15), shorten and the locks (16), the gate (17)
// and replace (18).
func idOf(key *Key) uint64 { return binary.LittleEndian.Uint64(key[0:]) }

// get returns the entry of the key, or nil. It does not allocate and does not wait.
func (t *table[V]) get(key *Key) *entry[V] {
	e := t.present.get(key)
	if e == nil {
		return t.absent.get(key)
	}
	if e.counted.Load() < t.hitLimit.Load() {
		t.count(e)
	}
	return e
}

// countedHits is how many hits of an entry ristretto counts while it makes as many decisions as
// the table has places. Counting a hit takes longer than the hit, and ristretto needs the counts
// only for its decisions. So a decision pays for at most four counts, and a table that is not
// full counts no hits. The hit rate is as high as if ristretto counted all of them.
const countedHits = 4

// decided allows more hits to be counted, at the first decision and after every t.size of them.
func (t *table[V]) decided() {
	if t.decisions%t.size == 0 {
		t.hitLimit.Add(countedHits)
	}
	t.decisions++
}

// count tells ristretto about a hit, unless another goroutine does so at the same time. An entry
// that was not used lately does not make up for the hits of earlier decisions.
func (t *table[V]) count(e *entry[V]) {
	counted := e.counted.Load()
	if e.counted.CompareAndSwap(counted, max(counted, t.hitLimit.Load()-countedHits)+1) && t.gate.enter(&e.key) {
		t.policy.Get(idOf(&e.key))
		t.gate.leave(&e.key)
	}
}

// find is like get, but does not count as a use.
func (t *table[V]) find(key *Key) *entry[V] {
	if e := t.present.get(key); e != nil {
		return e
	}
	return t.absent.get(key)
}

// put keeps an entry, unless the table has one of the key with a later epoch. It returns
// false if it has not kept the entry. Later, ristretto may decide against it.
func (t *table[V]) put(e *entry[V]) bool {
	lock := &t.locks[e.key[16]%64]
	lock.Lock()
	defer lock.Unlock()
	to, other := &t.present, &t.absent
	if e.absent {
		to, other = other, to
	}
	if old, _, _ := other.search(&e.key); old != nil {
		if old.epoch > e.epoch {
			return false
		}
		other.remove(old)
	}
	if !to.put(e) {
		return false
	}
	return e.absent || t.admit(e)
}

// admit asks ristretto to keep an entry. ristretto decides later. It drops questions when
// there are many, and then the entry is not kept, since nothing would evict it.
func (t *table[V]) admit(e *entry[V]) bool {
	if !t.gate.enter(&e.key) {
		return false
	}
	defer t.gate.leave(&e.key)
	if !t.policy.Set(idOf(&e.key), struct{}{}, 1) {
		t.present.remove(e)
		return false
	}
	// A key without an entry has no hits, so ristretto must count each load. It does so after
	// Set: then a key does not replace one that is as frequent, and a loop over more keys than
	// the table holds hits the same part of them each time.
	t.policy.Get(idOf(&e.key))
	return true
}

// close waits for other calls in progress and closes ristretto. If ctx ends, it returns
// ctx's error and may be called again.
func (t *table[V]) close(ctx context.Context) error {
	if err := t.gate.close(ctx); err != nil {
		return err
	}
	t.policy.Close()
	return nil
}

// bucketSize makes a bucket as long as a cache line.
const bucketSize = 7

// A bucket holds entries. Each has a byte of fingerprints, which is a part of its key, so that get
// follows few pointers. Zero stands for an empty slot.
type bucket[V any] struct {
	fingerprints atomic.Uint64
	entries      [bucketSize]atomic.Pointer[entry[V]]
}

// slots holds entries in buckets. An entry is in one of two buckets, which its key chooses.
type slots[V any] struct {
	buckets []bucket[V]
	mask    uint64
	used    atomic.Int64 // slots that are not empty
	limit   int64        // of used
}

// open makes between n/2 and n slots, but at least one bucket of them.
func (s *slots[V]) open(n, limit int) {
	buckets := uint64(1) << max(bits.Len64(uint64(n)/bucketSize)-1, 0)
	s.buckets, s.mask, s.limit = make([]bucket[V], buckets), buckets-1, int64(limit)
}

func (s *slots[V]) both(id uint64) (one, other *bucket[V]) {
	return &s.buckets[id&s.mask], &s.buckets[(id>>32)&s.mask]
}

func fingerprintOf(id uint64) uint64 { return id>>57 | 0x80 } // never zero

func (s *slots[V]) get(key *Key) *entry[V] {
	id := idOf(key)
	one, other := s.both(id)
	if e := one.find(key, fingerprintOf(id)); e != nil {
		return e
	}
	return other.find(key, fingerprintOf(id))
}

// Bytes of a word.
const (
	lowBits  = 0x0101010101010101
	highBits = 0x8080808080808080
)

// find returns the entry of the key.
func (b *bucket[V]) find(key *Key, fingerprint uint64) *entry[V] {
	differ := b.fingerprints.Load() ^ fingerprint*lowBits
	for equals := (differ - lowBits) &^ differ & highBits; equals != 0; equals &= equals - 1 {
		i := bits.TrailingZeros64(equals) / 8
		if i >= bucketSize { // no slot uses this byte
			break
		}
		if e := b.entries[i].Load(); e != nil && equal(&e.key, key) {
			return e
		}
	}
	return nil
}

// search returns the entry of the key, and its bucket and slot, even if another writer of the slot
// has not set its fingerprint yet.
func (s *slots[V]) search(key *Key) (*entry[V], *bucket[V], int) {
	one, other := s.both(idOf(key))
	for _, b := range []*bucket[V]{one, other} {
		for i := range b.entries {
			if e := b.entries[i].Load(); e != nil && equal(&e.key, key) {
				return e, b, i
			}
		}
	}
	return nil, nil, 0
}

// put replaces the entry of the same key, or takes an empty slot, or replaces another entry
// if both buckets are full. It returns false if the key has an entry with a later epoch, or
// if there are too many entries. The caller holds the key's lock.
func (s *slots[V]) put(e *entry[V]) bool {
	one, other := s.both(idOf(&e.key))
	if old, b, i := s.search(&e.key); old != nil {
		if old.epoch > e.epoch {
			return false
		}
		if b.entries[i].CompareAndSwap(old, e) {
			b.setFingerprint(i) // the writer of old may not have set it yet
			return true
		}
		// The old entry has just been evicted.
	}
	if one.free() < other.free() {
		one, other = other, one
	}
	if s.used.Load() >= s.limit {
		return false // entries that ristretto does not want are still to be removed
	}
	if one.fill(e) {
		s.used.Add(1)
		return true
	}
	return one.replace(e)
}

// free returns the number of empty slots.
func (b *bucket[V]) free() (n int) {
	for i := range b.entries {
		if b.entries[i].Load() == nil {
			n++
		}
	}
	return n
}

// fill puts the entry into an empty slot, if there is one.
func (b *bucket[V]) fill(e *entry[V]) bool {
	for i := range b.entries {
		if b.entries[i].Load() == nil && b.entries[i].CompareAndSwap(nil, e) {
			b.setFingerprint(i)
			return true
		}
	}
	return false
}

// replace puts the entry into a slot of a full bucket. The key determines the slot.
func (b *bucket[V]) replace(e *entry[V]) bool {
	i := int(e.key[18]) % bucketSize
	old := b.entries[i].Load()
	if old == nil || !b.entries[i].CompareAndSwap(old, e) {
		return false // it has just been removed
	}
	b.setFingerprint(i)
	return true
}

// remove removes the entry. It does nothing if another one has its slot.
func (s *slots[V]) remove(e *entry[V]) {
	one, other := s.both(idOf(&e.key))
	for _, b := range []*bucket[V]{one, other} {
		for i := range b.entries {
			if b.entries[i].Load() == e && b.entries[i].CompareAndSwap(e, nil) {
				s.used.Add(-1)
				return // its fingerprint may stay, since find compares the keys
			}
		}
	}
}

// removeID removes the entry with the id, if there is one.
func (s *slots[V]) removeID(id uint64) {
	one, other := s.both(id)
	for _, b := range []*bucket[V]{one, other} {
		for i := range b.entries {
			if e := b.entries[i].Load(); e != nil && idOf(&e.key) == id && b.entries[i].CompareAndSwap(e, nil) {
				s.used.Add(-1)
			}
		}
	}
}

// setFingerprint sets the fingerprint of the entry in a slot. Of several writers of a slot, the last call
// sees the last entry.
func (b *bucket[V]) setFingerprint(i int) {
	for e := b.entries[i].Load(); e != nil; {
		old := b.fingerprints.Load()
		fingerprint := fingerprintOf(idOf(&e.key)) << (8 * i)
		if !b.fingerprints.CompareAndSwap(old, old&^(0xff<<(8*i))|fingerprint) {
			continue
		}
		now := b.entries[i].Load()
		if now == e {
			return
		}
		e = now
	}
}

// A gate delays ristretto's Close, which panics during any other call, until the calls in
// progress have ended. It has a counter for each of 64 groups of keys, so that two
// processors rarely write to the same cache line.
type gate struct {
	closed atomic.Bool
	lanes  [64]struct {
		inside atomic.Int64
		_      [56]byte
	}
}

// enter reports whether the gate is open. If so, the caller must call leave.
func (g *gate) enter(key *Key) bool {
	lane := &g.lanes[key[17]%64].inside
	lane.Add(1)
	// Count before checking closed. close does it in the opposite order, so at least
	// one of the two notices the other.
	if g.closed.Load() {
		lane.Add(-1)
		return false
	}
	return true
}

func (g *gate) leave(key *Key) { g.lanes[key[17]%64].inside.Add(-1) }

// close closes the gate and waits until all callers have left.
func (g *gate) close(ctx context.Context) error {
	g.closed.Store(true)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for i := range g.lanes {
		for g.lanes[i].inside.Load() > 0 {
			select {
			case <-tick.C:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}
	return nil
}
