package apikey

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"strings"
	"sync"
	"time"

	"github.com/keyhatch/keyhatch/cache"
	"github.com/keyhatch/keyhatch/store"
)

// maxID is more than newID makes, in bytes.
const maxID = 64

// validID bounds what the store is asked for: a database answers a NUL or a
// broken character with an error, which would look like an outage.
func validID(id string) bool {
	return id != "" && len(id) <= maxID && !strings.ContainsFunc(id, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '_'
	})
}

// Get returns the owner's key, or [ErrNotFound], [ErrUnavailable] or, for an
// owner that cannot be one, an [*InvalidError].
func (m *Manager) Get(ctx context.Context, owner, id string) (Key, error) {
	if err := checkNamed(owner, id); err != nil {
		return Key{}, err
	}
	t, err := m.enter(ctx, m.reads, owner)
	if err != nil {
		return Key{}, err
	}
	defer t.leave()
	r, err := m.find(ctx, t, owner, id)
	return keyOf(r), err
}

// checkNamed refuses what names no key.
func checkNamed(owner, id string) error {
	if err := checkOwner(owner); err != nil {
		return err
	}
	if !validID(id) {
		return ErrNotFound
	}
	return nil
}

// enter waits for an owner's turn in a lane.
func (m *Manager) enter(ctx context.Context, l *lane, owner string) (*turn, error) {
	return l.enter(ctx, owner, m.opts.CallTimeout)
}

func (m *Manager) find(ctx context.Context, t *turn, owner, id string) (r store.Record, err error) {
	seen := m.ended.now()
	r, err = askInTurn(ctx, t, m.opts.CallTimeout, func(ctx context.Context) (store.Record, error) { return m.store.Get(ctx, owner, id) })
	if err == nil {
		err = genuine(r, owner, id)
	}
	if err != nil {
		return store.Record{}, m.fail(ctx, owner, id, err)
	}
	r, _ = m.ended.check(ctx, r, seen)
	return r, nil
}

// genuine is an error unless r is what was asked for.
func genuine(r store.Record, owner, id string) error {
	if r.Owner != owner || r.ID != id || r.Digest.IsZero() {
		return errForged
	}
	return nil
}

// A Filter is some of an owner's keys. What is over is kept, so after some years
// of rotations it buries what works in a list of all.
type Filter string

const (
	FilterAll     Filter = ""        // every key
	FilterCurrent Filter = "current" // neither revoked nor expired: StatusActive and StatusDisabled
	FilterEnded   Filter = "ended"   // all others: StatusExpired and StatusRevoked
)

// ListParams ask for a page of an owner's keys.
type ListParams struct {
	Owner  string
	Filter Filter // by default FilterAll
	Cursor string // a Page's Next, of any Filter; empty: from the newest
	Limit  int    // 1 to 100; anything else means 100
}

// A Page is a part of a list of keys, newest first.
type Page struct {
	Keys []Key
	Next string // the Cursor of the next page; empty: this was the last
}

// List returns a page of the owner's keys, of all or of one [Filter] as it is at
// that moment. A key that was rotated is live until its grace has ended. Keys
// created while pages are walked neither repeat nor hide others. It answers an
// [*InvalidError] for a Cursor that is not from List, an unknown Filter or an owner
// that cannot be one, or [ErrUnavailable].
func (m *Manager) List(ctx context.Context, p ListParams) (Page, error) {
	if err := checkOwner(p.Owner); err != nil {
		return Page{}, err
	}
	after, err := parseCursor(p.Cursor)
	if err != nil {
		return Page{}, err
	}
	q := store.Query{Owner: p.Owner, Filter: store.Filter(p.Filter), At: now(), After: after, Limit: p.Limit}
	if q.Validate() != nil {
		return Page{}, &InvalidError{Field: "Filter", Reason: "must be FilterAll, FilterCurrent or FilterEnded"}
	}
	t, err := m.enter(ctx, m.reads, p.Owner)
	if err != nil {
		return Page{}, err
	}
	defer t.leave()
	seen := m.ended.now()
	found, err := askInTurn(ctx, t, m.opts.CallTimeout, func(ctx context.Context) (store.Page, error) { return m.store.List(ctx, q) })
	page := Page{Next: formatCursor(found.Next)}
	for _, r := range found.Records {
		if err == nil && (genuine(r, p.Owner, r.ID) != nil || !q.Matches(r)) {
			err = errForged // a key that works must not look over, nor the other way round
		}
		r, _ = m.ended.check(ctx, r, seen)
		page.Keys = append(page.Keys, keyOf(r))
	}
	if err != nil {
		return Page{}, m.fail(ctx, p.Owner, "", err)
	}
	return page, nil
}

func formatCursor(c store.Cursor) string {
	if c.IsZero() {
		return ""
	}
	b := binary.BigEndian.AppendUint64(nil, uint64(c.CreatedAt.UnixMicro()))
	return base64.RawURLEncoding.EncodeToString(append(b, c.ID...))
}

func parseCursor(s string) (store.Cursor, error) {
	if s == "" {
		return store.Cursor{}, nil
	}
	bad := &InvalidError{Field: "Cursor", Reason: "must be one that List returned"}
	if len(s) > base64.RawURLEncoding.EncodedLen(8+maxID) {
		return store.Cursor{}, bad
	}
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil || len(b) <= 8 {
		return store.Cursor{}, bad
	}
	c := store.Cursor{CreatedAt: time.UnixMicro(int64(binary.BigEndian.Uint64(b))).UTC(), ID: string(b[8:])}
	// A place has one spelling, though base64 has several.
	if !validID(c.ID) || c.CreatedAt.Year() < 1 || c.CreatedAt.After(latest) || formatCursor(c) != s {
		return store.Cursor{}, bad
	}
	return c, nil
}

// Update changes what p names, and nothing else, whatever others change at the
// same time. A revoked key never changes, and the expiry of a key that has
// expired or was rotated does not move: [ErrConflict]. Other errors are
// [ErrNotFound], [ErrUnavailable] and [*InvalidError].
//
// Once Update has returned, this Manager refuses a key that it disabled, also
// when the answer was ErrUnavailable and the store has the change. After
// [ErrNotPropagated] the change is made, and the Key is as it is now.
func (m *Manager) Update(ctx context.Context, owner, id string, p UpdateParams) (Key, error) {
	change, err := p.change(now())
	if err != nil {
		return Key{}, err
	}
	l := m.writes
	if disables(change) {
		l = m.revocations
	}
	done, err := write(ctx, m, l, owner, id, func(ctx context.Context, before store.Record) (store.Record, error) {
		if !before.RevokedAt.IsZero() {
			return before, store.ErrConflict // also if the store has lost the revocation
		}
		r, err := m.ended.update(before.Digest, change, func() (store.Record, error) { return m.store.Update(ctx, owner, id, change) })
		if err == nil && (genuine(r, owner, id) != nil || disables(change) && r.DisabledAt.IsZero()) {
			err = errForged // it must not look disabled when it is not
		}
		return r, err
	})
	if err != nil {
		return Key{}, err
	}
	m.emit(ctx, Event{Kind: EventUpdated, Time: change.At, Owner: owner, KeyID: id})
	return keyOf(done.value), m.notPropagated(ctx, done.unpropagated)
}

// Revoke ends a key for good. It is idempotent: the first call's time and
// reason, up to 255 bytes, stay. Once it has returned nil, no Validate of this
// Manager that starts later accepts the key; other instances follow within
// milliseconds when there is an [Options.Bus], and otherwise within their
// [Options.CacheTTL].
//
// Errors are [ErrNotFound], [*InvalidError] and [ErrUnavailable]; after the
// last the key may still be good, so call again. After [ErrNotPropagated] it is
// revoked here and in the store; calling again tells the others again.
func (m *Manager) Revoke(ctx context.Context, owner, id, reason string) (Key, error) {
	if err := checkReason(reason); err != nil {
		return Key{}, err
	}
	at := now()
	done, err := write(ctx, m, m.revocations, owner, id, func(ctx context.Context, before store.Record) (revocation, error) {
		r, changed, err := m.store.Revoke(ctx, owner, id, at, reason)
		if err == nil && (genuine(r, owner, id) != nil || r.RevokedAt.IsZero()) {
			err = errForged // it must not look revoked when it is not
		}
		if err == nil {
			m.ended.remember(before.Digest, r)
		}
		return revocation{r, changed}, err
	})
	if err != nil {
		return Key{}, err
	}
	if done.value.changed {
		m.emit(ctx, Event{Kind: EventRevoked, Time: at, Owner: owner, KeyID: id})
	}
	return keyOf(done.value.Record), m.notPropagated(ctx, done.unpropagated)
}

type revocation struct {
	store.Record
	changed bool
}

func disables(c store.Change) bool { return c.DisabledAt != nil && !c.DisabledAt.IsZero() }

// write changes one key. It looks the key up first, since the fence goes by
// digest; an id's digest never changes.
func write[T any](ctx context.Context, m *Manager, l *lane, owner, id string, on func(context.Context, store.Record) (T, error)) (done changed[T], err error) {
	if err := checkNamed(owner, id); err != nil {
		return done, err
	}
	t, err := m.enter(ctx, l, owner)
	if err != nil {
		return done, err
	}
	defer t.leave()
	// The owner's uses are written while the key is looked up. Only those that arrive
	// meanwhile delay the revocation.
	var flush sync.WaitGroup
	flushed := false
	if l == m.revocations {
		flush.Go(func() { flushed = m.uses.flushOwner(context.WithoutCancel(ctx), owner) })
	}
	before, err := m.find(ctx, t, owner, id)
	if err != nil {
		flush.Wait()
		return done, err
	}
	do := func(ctx context.Context) (T, error) {
		if flush.Wait(); flushed {
			m.uses.flushKey(ctx, before.Digest)
		}
		return on(ctx, before)
	}
	done, err = change(ctx, m, t, do, cache.Key(before.Digest))
	if err != nil {
		return changed[T]{}, m.fail(ctx, owner, id, err)
	}
	return done, nil
}
