package apikey

import (
	"context"
	"encoding/binary"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/keyhatch/keyhatch/cache"
	"github.com/keyhatch/keyhatch/store"
)

const (
	// undonePause is the least time between two reports of one key.
	undonePause = time.Hour

	// messageTime is more than a message takes from one instance to another.
	messageTime = 10 * time.Second

	// clockMargin is more than the clocks of two instances differ. A key that
	// was created longer than this before RevokeAll is one of those it revoked.
	clockMargin = 24 * time.Hour
)

// endedKeys remembers which keys this process has revoked, rotated or disabled.
// A store can lose that: a standby that misses the latest writes takes over, or
// a backup is restored. What the store returns is then corrected and reported.
//
// Only changes that the store has confirmed to this process are remembered. A
// revocation is final and the expiry of a rotated key never moves later, so no
// later answer of the store can be right that contradicts them. A disabled key
// may be enabled elsewhere; see holdsDisabled.
type endedKeys struct {
	m *Manager

	mu       sync.Mutex
	keys     recent[store.Digest, endedKey]
	owners   recent[cache.Key, endedKey] // by RevokeAll
	missedAt uint64                      // the count when other instances' changes were last missed

	// count orders loads and changes: a load contradicts a change only if it
	// began after the change was remembered.
	count atomic.Uint64

	// updates count the beginnings and ends of updates, and other instances'
	// changes. Several keys share a counter, by digest.
	updates [1 << 10]atomic.Uint64
}

// An endedKey is what became of a key. Zero times mean that it did not.
type endedKey struct {
	revoked  time.Time
	reason   string
	expires  time.Time // of a rotated key
	disabled time.Time

	count    uint64    // endedKeys.count when it was remembered
	at       time.Time // when it was remembered
	undone   time.Time // when the store first contradicted it
	reported time.Time
}

// now returns a count to hand to check after the store was read.
func (e *endedKeys) now() uint64 { return e.count.Load() }

// remember keeps how a change has left a key. It must be called before the
// fence of the change ends.
func (e *endedKeys) remember(d store.Digest, r store.Record) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.keep(d, r)
}

func (e *endedKeys) keep(d store.Digest, r store.Record) {
	old, _ := e.keys.get(d)
	k := endedKey{revoked: r.RevokedAt, reason: r.RevokeReason, expires: old.expires, disabled: r.DisabledAt}
	if r.RevokedAt.IsZero() {
		k.revoked, k.reason = old.revoked, old.reason
	}
	if r.ReplacedBy != "" {
		k.expires = r.ExpiresAt
	}
	if k.revoked.IsZero() && k.expires.IsZero() && k.disabled.IsZero() {
		e.keys.remove(d)
		return
	}
	k.count, k.at = e.count.Add(1), time.Now()
	if !old.revoked.IsZero() {
		k.count = old.count // it has been revoked since then
	}
	e.keys.set(d, k)
}

// rememberAll keeps a batch that RevokeAll has revoked. After the last one, keys
// created long before are covered by their owner, however many there are.
func (e *endedKeys) rememberAll(owner string, at time.Time, reason string, revoked []store.Record) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(revoked) < store.RevokeBatch {
		e.owners.set(ownerKey(owner), endedKey{revoked: at, reason: reason, count: e.count.Add(1)})
	}
	for _, r := range revoked {
		if !r.CreatedAt.Before(at.Add(-clockMargin)) {
			e.keep(r.Digest, r)
		}
	}
}

// rememberEach keeps keys that an interrupted RevokeAll has revoked.
func (e *endedKeys) rememberEach(revoked []store.Record) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, r := range revoked {
		e.keep(r.Digest, r)
	}
}

// update runs an Update of the store and remembers how it has left the key.
func (e *endedKeys) update(d store.Digest, c store.Change, do func() (store.Record, error)) (store.Record, error) {
	updates := e.updatesOf(d)
	began := updates.Add(1)
	if c.DisabledAt != nil && c.DisabledAt.IsZero() {
		e.enabled(d) // also if the store's answer is lost
	}
	r, err := do()
	alone := updates.Add(1) == began+1
	if err == nil {
		left := r
		if !alone {
			left.DisabledAt = time.Time{} // another update may have enabled it since
		}
		e.remember(d, left)
	}
	return r, err
}

func (e *endedKeys) updatesOf(d store.Digest) *atomic.Uint64 {
	return &e.updates[int(binary.LittleEndian.Uint16(d[16:]))%len(e.updates)]
}

// enabled forgets that a key was disabled.
func (e *endedKeys) enabled(d store.Digest) {
	e.mu.Lock()
	defer e.mu.Unlock()
	k, ok := e.keys.get(d)
	switch k.disabled = (time.Time{}); {
	case ok && k.revoked.IsZero() && k.expires.IsZero():
		e.keys.remove(d)
	case ok:
		e.keys.set(d, k)
	}
}

// changed is called when another instance has changed these keys.
func (e *endedKeys) changed(keys []cache.Key) {
	for _, key := range keys {
		d := store.Digest(key)
		e.updatesOf(d).Add(1)
		e.enabled(d)
	}
}

// missed is called when changes of other instances may have been missed.
func (e *endedKeys) missed() {
	for i := range e.updates {
		e.updates[i].Add(1)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.missedAt = e.count.Load()
}

// check returns r as this process has left the key, and reports it if the store
// has lost that. seen is from before the store was read: what was remembered
// since does not contradict r. If until is not zero, the result holds until then.
func (e *endedKeys) check(ctx context.Context, r store.Record, seen uint64) (left store.Record, until time.Time) {
	k, undone := e.find(r)
	if !undone || k.count > seen {
		return r, time.Time{}
	}
	left, until = k.correct(r), e.disabledUntil(k)
	if !k.revoked.IsZero() || !k.expires.IsZero() {
		until = time.Time{}
	}
	if e.due(r.Digest, k) {
		e.report(ctx, r)
	}
	return left, until
}

// contradicts reports whether r is not as this process has left the key.
func (e *endedKeys) contradicts(r store.Record) bool {
	_, undone := e.find(r)
	return undone
}

// find returns what contradicts r.
func (e *endedKeys) find(r store.Record) (k endedKey, undone bool) {
	if !r.RevokedAt.IsZero() {
		return k, false
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	k, _ = e.keys.get(r.Digest)
	if owner, ok := e.owners.get(ownerKey(r.Owner)); ok && k.revoked.IsZero() && r.CreatedAt.Before(owner.revoked.Add(-clockMargin)) {
		k.revoked, k.reason, k.count = owner.revoked, owner.reason, owner.count
	}
	if k.expires.IsZero() || !r.ExpiresAt.IsZero() && !r.ExpiresAt.After(k.expires) {
		k.expires = time.Time{}
	}
	if !r.DisabledAt.IsZero() || !e.holdsDisabled(k) {
		k.disabled = time.Time{}
	}
	return k, !k.revoked.IsZero() || !k.expires.IsZero() || !k.disabled.IsZero()
}

// holdsDisabled reports whether no instance can have enabled the key since
// without this one knowing. Without a bus that works, that is so until CacheTTL
// has passed, which is how long other instances' changes may go unseen.
func (e *endedKeys) holdsDisabled(k endedKey) bool {
	until := e.disabledUntil(k)
	return k.count > e.missedAt && (until.IsZero() || time.Now().Before(until))
}

func (e *endedKeys) disabledUntil(k endedKey) time.Time {
	if e.m.group.Healthy() {
		return time.Time{}
	}
	return k.at.Add(e.m.opts.CacheTTL)
}

func (k endedKey) correct(r store.Record) store.Record {
	if !k.revoked.IsZero() {
		r.RevokedAt, r.RevokeReason = k.revoked, k.reason
	}
	if !k.expires.IsZero() {
		r.ExpiresAt = k.expires
	}
	if !k.disabled.IsZero() {
		r.DisabledAt = k.disabled
	}
	return r
}

// due reports whether a report of the key is due, and counts it as made.
func (e *endedKeys) due(d store.Digest, k endedKey) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	kept, ok := e.keys.get(d)
	if !ok {
		kept = k // known by its owner alone
	}
	if kept.undone.IsZero() {
		kept.undone = time.Now()
	}
	// Another instance may have enabled a disabled key, and its message be on
	// the way.
	due := !k.revoked.IsZero() || !k.expires.IsZero() || time.Since(kept.undone) >= messageTime
	due = due && (kept.reported.IsZero() || time.Since(kept.reported) >= undonePause)
	if due {
		kept.reported = time.Now()
	}
	e.keys.set(d, kept)
	return due
}

func (e *endedKeys) report(ctx context.Context, r store.Record) {
	e.m.log.LogAttrs(ctx, slog.LevelError, "apikey: the store has undone a revocation, rotation or disabling. "+
		"This process still refuses the key; others may accept it. Revoke it again; see After a restore in SECURITY.md",
		slog.String("owner", r.Owner), slog.String("key", r.ID))
	if e.m.opts.OnEvent != nil {
		e.m.opts.OnEvent(ctx, Event{Kind: EventUndone, Time: now(), Owner: r.Owner, KeyID: r.ID})
	}
}

const (
	recentAge  = 24 * time.Hour // the least time that an entry is kept
	recentSize = 50_000         // the least number of latest entries that are kept
)

// A recent is a map of what happened lately. It keeps the latest recentSize
// entries for recentAge, and never more than twice as many for twice as long:
// when the young generation is full or old, it becomes the old one, and the old
// one is dropped. It is not safe for concurrent use.
type recent[K comparable, V any] struct {
	young, old map[K]V
	since      time.Time // when the young generation began
}

func (r *recent[K, V]) get(key K) (v V, ok bool) {
	if v, ok = r.young[key]; !ok {
		v, ok = r.old[key]
	}
	return v, ok
}

func (r *recent[K, V]) set(key K, v V) {
	if r.young == nil || len(r.young) >= recentSize || time.Since(r.since) >= recentAge {
		r.young, r.old, r.since = map[K]V{}, r.young, time.Now()
	}
	delete(r.old, key)
	r.young[key] = v
}

func (r *recent[K, V]) remove(key K) {
	delete(r.young, key)
	delete(r.old, key)
}

func (r *recent[K, V]) len() int { return len(r.young) + len(r.old) }
