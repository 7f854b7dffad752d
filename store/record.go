package store

import (
	"maps"
	"slices"
	"time"
)

// A Digest is the SHA-256 of a token, the only trace of it that is stored.
type Digest [32]byte

// IsZero reports whether d is all zero, which no token's digest is.
func (d Digest) IsZero() bool { return d == Digest{} }

// A Record is a key as a Store keeps it. A zero time means never.
type Record struct {
	ID           string // unique among all owners
	Owner        string // the host's id of a user or organisation
	Name         string
	Hint         string // prefix and first characters of the token, for people
	CreatedBy    string
	RevokeReason string
	ReplacedBy   string // ID of the successor, set by Rotate
	Digest       Digest // unique among all owners
	Scopes       []string
	Metadata     map[string]string
	CreatedAt    time.Time
	ExpiresAt    time.Time
	DisabledAt   time.Time
	RevokedAt    time.Time
	LastUsedAt   time.Time
}

// CountsAgainstLimit reports whether the record counts against its owner's limit at
// the given instant. A current record counts, with one exception: a record that
// Rotate replaced does not count while its direct successor is current and has not
// been replaced itself. A disabled record counts, since it can be enabled again.
//
// So for each record that counts, at most one predecessor works too, however often
// keys are rotated. The successor is the record that r.ReplacedBy names, and nil if
// there is none.
func (r Record) CountsAgainstLimit(at time.Time, successor *Record) bool {
	free := successor != nil && successor.ID == r.ReplacedBy && successor.Owner == r.Owner &&
		successor.IsCurrent(at) && successor.ReplacedBy == ""
	return r.IsCurrent(at) && !free
}

// IsCurrent reports whether the record is neither revoked nor expired at the given
// instant. A disabled record is current, and so is a replaced one until its grace
// period ends. A revoked record is not current at any instant.
func (r Record) IsCurrent(at time.Time) bool {
	return r.RevokedAt.IsZero() && !r.IsExpired(at)
}

// IsExpired reports whether the record has expired at the given instant.
func (r Record) IsExpired(at time.Time) bool {
	return !r.ExpiresAt.IsZero() && !at.Before(r.ExpiresAt)
}

// IsActive reports whether the key is accepted at the given instant: it is neither
// revoked, expired nor disabled.
func (r Record) IsActive(at time.Time) bool {
	return r.IsCurrent(at) && r.DisabledAt.IsZero()
}

// Clone returns a copy that shares no slice or map with r.
func (r Record) Clone() Record {
	r.Scopes = slices.Clone(r.Scopes)
	r.Metadata = maps.Clone(r.Metadata)
	return r
}
