package store

import (
	"maps"
	"slices"
	"time"
)

// The rules by which records change, for stores to apply inside their
// transactions. None of them changes r or shares a slice or map with it.

// Changed returns the record after the change c, or [ErrConflict]; see
// [Store.Update]. It judges by c.At, which a store sets to the owner's latest
// instant if that is later.
func (r Record) Changed(c Change) (Record, error) {
	ended := r.Expired(c.At) || r.ReplacedBy != ""
	if !r.RevokedAt.IsZero() || c.ExpiresAt != nil && ended {
		return Record{}, ErrConflict
	}
	if c.Scopes != nil {
		r.Scopes = c.Scopes
	}
	if c.Metadata != nil {
		r.Metadata = c.Metadata
	}
	r = r.Clone()
	if c.Name != nil {
		r.Name = *c.Name
	}
	if c.ExpiresAt != nil {
		r.ExpiresAt = *c.ExpiresAt
	}
	if c.DisabledAt != nil {
		r.DisabledAt = *c.DisabledAt
	}
	return r, nil
}

// Revoked returns the record after its revocation, and whether that changed it;
// see [Store.Revoke].
func (r Record) Revoked(at time.Time, reason string) (Record, bool) {
	r = r.Clone()
	if !r.RevokedAt.IsZero() {
		return r, false
	}
	r.RevokedAt, r.RevokeReason = at, reason
	return r, true
}

// WrongClock is how much later than a use a LastUsedAt must be to come from an
// instance with a wrong clock.
const WrongClock = 24 * time.Hour

// Used returns the record after a use, and whether that changed it; see
// [Store.Touch].
func (r Record) Used(at time.Time) (Record, bool) {
	r = r.Clone()
	wrong := r.LastUsedAt.After(at.Add(WrongClock)) && !at.Before(r.CreatedAt)
	if !r.RevokedAt.IsZero() || !at.After(r.LastUsedAt) && !wrong {
		return r, false
	}
	r.LastUsedAt = at
	return r, true
}

// Overlaps reports whether a rotation to r leaves the old record working beside it:
// whether ends, the old record's end, is after r.CreatedAt. Only such a rotation is
// held to a limit.
func (r Record) Overlaps(ends time.Time) bool { return ends.After(r.CreatedAt) }

// Rotated returns the record after its rotation and its successor, or
// [ErrConflict]; see [Store.Rotate]. It judges by the instant at: next.CreatedAt, or
// the owner's latest instant if that is later.
func (r Record) Rotated(at time.Time, next Record, ends time.Time) (old, now Record, err error) {
	if !r.Usable(at) || r.ReplacedBy != "" {
		return Record{}, Record{}, ErrConflict
	}
	now = Record{
		ID: next.ID, Digest: next.Digest, Hint: next.Hint, CreatedAt: next.CreatedAt,
		Owner: r.Owner, Name: r.Name, CreatedBy: r.CreatedBy, ExpiresAt: r.ExpiresAt,
		Scopes: slices.Clone(r.Scopes), Metadata: maps.Clone(r.Metadata),
	}
	old = r.Clone()
	old.ReplacedBy = next.ID
	switch {
	case !next.Overlaps(ends):
		old, _ = old.Revoked(next.CreatedAt, ReasonRotated)
	case old.ExpiresAt.IsZero() || ends.Before(old.ExpiresAt):
		old.ExpiresAt = ends
	}
	return old, now, nil
}
