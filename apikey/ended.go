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
	// undonePause is the minimum time between two reports of one key.
	undonePause = time.Hour

	// messageTime is longer than a message takes from one instance to another.
	messageTime = 10 * time.Second

	// clockMargin is larger than the difference between the clocks of two
	// instances. So a RevokeAll has certainly revoked those of the owner's keys that
	// were created more than clockMargin before it.
	clockMargin = 24 * time.Hour
)

// endedKeys remembers which keys this process has revoked, rotated or disabled. A
// store can lose such a change: a standby that lacks the latest writes takes
// over, or a backup is restored. Records that the store returns are then
// corrected, and the loss is reported.
//
// Only changes that the store has confirmed to this process are remembered. A
// revocation is final and the expiry of a rotated key never moves later, so if the store later
// returns a record without the change, the record is wrong. A disabled key may be enabled by
// another instance; see holdsDisabled.
type endedKeys struct {
	m *Manager

	mu       sync.Mutex
	keys     recent[store.Digest, endedKey]
	owners   recent[cache.Key, endedKey] // owners whose keys RevokeAll has revoked
	missedAt uint64                      // the count when other instances' changes were last missed

	// count orders loads and changes: a load contradicts a change only if it
	// began after the change was remembered.
	count atomic.Uint64

	// Each counter holds two counts: the number of running updates in units of oneUpdate, and the
	// number of changes in units of oneChange. A change is the beginning or the end of an update,
	// or a change by another instance. Several keys share a counter, by digest.
	updates [1 << 10]atomic.Int64
}

// Units of endedKeys.updates.
const (
	oneUpdate = 1
	oneChange = 1 << 20
)

// An endedKey holds the times at which a key was ended. A zero time means never.
type endedKey struct {
	revoked  time.Time
	reason   string
	expires  time.Time // end of the grace period of a rotated key
	disabled time.Time

	count    uint64    // endedKeys.count when it was remembered
	at       time.Time // when it was remembered
	undone   time.Time // when the store first contradicted it
	reported time.Time
}

// now returns the current count. Call it before reading the store, and pass the
// result to check.
func (e *endedKeys) now() uint64 { return e.count.Load() }

// remember records the state in which a change has left a key. It must be called
// before the fence of the change ends.
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
		k.count = old.count // the key was already revoked at that count
	}
	e.keys.set(d, k)
}

// rememberAll records a batch of keys that RevokeAll has revoked. After the last
// batch, the owner's entry covers all keys that were created long before, however
// many there are.
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

// rememberEach records keys that an interrupted RevokeAll has revoked.
func (e *endedKeys) rememberEach(revoked []store.Record) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, r := range revoked {
		e.keep(r.Digest, r)
	}
}

// update runs an Update of the store and remembers the state in which it has left the
// key. If another update may have enabled the key meanwhile, or may still enable it, update does
// not remember that the key is disabled.
func (e *endedKeys) update(d store.Digest, c store.Change, do func() (store.Record, error)) (store.Record, error) {
	updates := e.updatesOf(d)
	began := updates.Add(oneChange + oneUpdate)
	returned := false
	defer func() {
		if !returned { // the call of do has panicked
			updates.Add(-oneUpdate)
		}
	}()
	if c.DisabledAt != nil && c.DisabledAt.IsZero() {
		e.enabled(d) // even if the store's result is lost
	}
	r, err := do()
	returned = true
	e.mu.Lock() // an update that begins from now on waits for this lock in its call of enabled
	defer e.mu.Unlock()
	alone := updates.Add(oneChange-oneUpdate) == began+oneChange-oneUpdate && began%oneChange == oneUpdate
	if err == nil {
		left := r
		if !alone {
			left.DisabledAt = time.Time{}
		}
		e.keep(d, left)
	}
	return r, err
}

func (e *endedKeys) updatesOf(d store.Digest) *atomic.Int64 {
	return &e.updates[int(binary.LittleEndian.Uint16(d[16:]))%len(e.updates)]
}

// enabled drops the record that a key was disabled.
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
		e.updatesOf(d).Add(oneChange)
		e.enabled(d)
	}
}

// missed is called when changes of other instances may have been missed.
func (e *endedKeys) missed() {
	for i := range e.updates {
		e.updates[i].Add(oneChange)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.missedAt = e.count.Load()
}

// check returns r in the state in which this process has left the key, and
// reports the key if the store has lost that state. seen is the result of now
// before the store was read: changes that were remembered later do not contradict
// r. If until is not zero, the result is valid until then.
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

// contradicts reports whether r differs from the state in which this process has
// left the key.
func (e *endedKeys) contradicts(r store.Record) bool {
	_, undone := e.find(r)
	return undone
}

// find returns the remembered change that r contradicts; undone reports whether
// there is one.
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

// holdsDisabled reports whether the fact that this process has disabled the key
// still counts. It does not count if another instance may have enabled the key
// since. Without a working bus, or while an instance is silent, it counts for CacheTTL,
// since changes of other instances may go unseen for that time.
func (e *endedKeys) holdsDisabled(k endedKey) bool {
	until := e.disabledUntil(k)
	return k.count > e.missedAt && (until.IsZero() || time.Now().Before(until))
}

func (e *endedKeys) disabledUntil(k endedKey) time.Time {
	if e.m.group.Complete() {
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

// due reports whether the key must be reported now. If so, it records the report.
func (e *endedKeys) due(d store.Digest, k endedKey) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	kept, ok := e.keys.get(d)
	if !ok {
		kept = k // only the owner has an entry
	}
	if kept.undone.IsZero() {
		kept.undone = time.Now()
	}
	// Another instance may have just enabled a disabled key, and its message may
	// not have arrived yet.
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
