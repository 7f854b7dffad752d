package apikey

import (
	"context"
	"maps"
	"time"

	"github.com/keyhatch/keyhatch/store"
)

// UpdateParams hold the changes of [Manager.Update]. Nil fields do not change.
type UpdateParams struct {
	Name      *string
	Disabled  *bool             // true suspends the key, false ends the suspension
	Scopes    []string          // empty but not nil: none
	Metadata  map[string]string // empty but not nil: none
	ExpiresAt *time.Time        // pointer to the zero time: never
}

// change checks p and returns it as a change of the store.
func (p UpdateParams) change(now time.Time) (store.Change, error) {
	c := store.Change{At: now, Metadata: maps.Clone(p.Metadata)}
	if p.Name != nil {
		name, err := cleanName(*p.Name)
		if err != nil {
			return c, err
		}
		c.Name = &name
	}
	if p.Disabled != nil {
		c.DisabledAt = new(time.Time)
		if *p.Disabled {
			c.DisabledAt = &now
		}
	}
	if p.Scopes != nil {
		scopes, err := cleanScopes(p.Scopes)
		if err != nil {
			return c, err
		}
		c.Scopes = append([]string{}, scopes...)
	}
	if err := checkMetadata(p.Metadata); err != nil {
		return c, err
	}
	if p.ExpiresAt != nil {
		expires, err := cleanExpiry(*p.ExpiresAt, now)
		if err != nil {
			return c, err
		}
		c.ExpiresAt = &expires
	}
	return c, nil
}

// Update changes the fields that p sets, and no others, even if other calls change
// the key at the same time. It returns [ErrConflict] if the key is revoked, or if p sets
// the expiry of a key that has expired or was rotated. Other errors are [ErrNotFound],
// [ErrUnavailable] and [*InvalidError].
//
// Once Update has returned, this Manager refuses a key that it disabled, even if Update
// returned ErrUnavailable and the store has made the change. If Update returns
// [ErrNotPropagated], the change is made, and the Key is the changed one.
func (m *Manager) Update(ctx context.Context, owner, id string, p UpdateParams) (Key, error) {
	change, err := p.change(now())
	if err != nil {
		return Key{}, err
	}
	l := m.writes
	if disables(change) {
		l = m.revocations
	}
	done, err := write(ctx, m, l, owner, id, store.Digest{}, func(ctx context.Context, before store.Record) (store.Record, error) {
		if !before.RevokedAt.IsZero() {
			return before, store.ErrConflict // even if the store has lost the revocation
		}
		r, err := m.ended.update(before.Digest, change, func() (store.Record, error) { return m.store.Update(ctx, owner, id, change) })
		if err == nil && (checkRecord(r, owner, id) != nil || disables(change) && r.DisabledAt.IsZero()) {
			err = errWrongRecord // report no success for a key that is not disabled
		}
		return r, err
	}, func(ctx context.Context, _ store.Record) {
		m.emit(ctx, Event{Kind: EventUpdated, Time: change.At, Owner: owner, KeyID: id})
	})
	if err != nil {
		return Key{}, err
	}
	return keyOf(done.value), m.notPropagated(ctx, done.unpropagated)
}

func disables(c store.Change) bool { return c.DisabledAt != nil && !c.DisabledAt.IsZero() }
