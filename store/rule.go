package store

import (
	"maps"
	"slices"
	"time"
)

// These methods are the rules by which records change. Stores apply them inside
// their transactions. No method changes r or shares a slice or map with it.

// WithChange returns the record after the change c, or [ErrConflict]; see [Store.Update].
// The change takes effect at c.At, which a store must set to the owner's latest instant if
// that is later.
func (r Record) WithChange(c Change) (Record, error) {
	if !r.RevokedAt.IsZero() {
		return Record{}, ErrConflict
	}
	if c.ExpiresAt != nil {
		ended := r.IsExpired(c.At) || r.ReplacedBy != ""
		if ended || (Record{ExpiresAt: *c.ExpiresAt}).IsExpired(c.At) {
			return Record{}, ErrConflict
		}
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

// ExpiresBefore reports whether [Store.Insert] must return [ErrConflict]: whether r
// expires after r.CreatedAt, and not after the owner's latest instant.
func (r Record) ExpiresBefore(latest time.Time) bool {
	return r.IsExpired(latest) && !r.IsExpired(r.CreatedAt)
}

// WithRevocation returns the record after its revocation, and whether that changed it;
// see [Store.Revoke].
func (r Record) WithRevocation(at time.Time, reason string) (Record, bool) {
	r = r.Clone()
	if !r.RevokedAt.IsZero() {
		return r, false
	}
	r.RevokedAt, r.RevokeReason = at, reason
	return r, true
}

// WrongClock is how much a LastUsedAt may be later than a new use. A LastUsedAt
// that is even later came from an instance with a wrong clock.
const WrongClock = 24 * time.Hour

// WithUse returns the record after a use, and whether that changed it; see
// [Store.Touch].
func (r Record) WithUse(at time.Time) (Record, bool) {
	r = r.Clone()
	wrong := r.LastUsedAt.After(at.Add(WrongClock)) && !at.Before(r.CreatedAt)
	if !r.RevokedAt.IsZero() || !at.After(r.LastUsedAt) && !wrong {
		return r, false
	}
	r.LastUsedAt = at
	return r, true
}

// HasGracePeriod reports whether a rotation to r has a grace period: whether ends, the end
// of the old record, is after r.CreatedAt. Only such a rotation can be refused because of
// the limit or the clock of another process.
func (r Record) HasGracePeriod(ends time.Time) bool { return ends.After(r.CreatedAt) }

// WithSuccessor returns the record after its rotation and its successor, or [ErrConflict];
// see [Store.Rotate]. A rotation with a grace period takes effect at the instant at:
// next.CreatedAt, or the owner's latest instant if that is later. The old record is
// revoked unless its grace period ends after at.
func (r Record) WithSuccessor(at time.Time, next Record, ends time.Time) (old, now Record, err error) {
	effective := at
	if !next.HasGracePeriod(ends) {
		effective = next.CreatedAt
	}
	if !r.IsActive(effective) || r.ReplacedBy != "" {
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
	case !ends.After(at): // otherwise it would never count, but would work according to a slower clock
		old, _ = old.WithRevocation(next.CreatedAt, ReasonRotated)
	case old.ExpiresAt.IsZero() || ends.Before(old.ExpiresAt):
		old.ExpiresAt = ends
	}
	return old, now, nil
}
