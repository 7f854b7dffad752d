package apikey

import (
	"slices"
	"time"

	"github.com/keyhatch/keyhatch/store"
)

// A Key is the public view of an issued key. It contains neither the token nor its
// digest. Times are UTC, to the microsecond. A zero time means never.
type Key struct {
	ID           string
	Owner        string
	Name         string
	Hint         string // the token's first characters, for people to tell keys apart
	CreatedBy    string
	RevokeReason string
	ReplacedBy   string // the ID of the key's successor after Rotate
	Scopes       []string
	Metadata     map[string]string
	CreatedAt    time.Time
	ExpiresAt    time.Time
	DisabledAt   time.Time
	RevokedAt    time.Time
	LastUsedAt   time.Time // updated at most once in [Options.TouchInterval]
}

// keyOf returns the public view of r. They share their slices and maps.
func keyOf(r store.Record) Key {
	return Key{
		ID:           r.ID,
		Owner:        r.Owner,
		Name:         r.Name,
		Hint:         r.Hint,
		CreatedBy:    r.CreatedBy,
		RevokeReason: r.RevokeReason,
		ReplacedBy:   r.ReplacedBy,
		Scopes:       slices.Clip(r.Scopes),
		Metadata:     r.Metadata,
		CreatedAt:    r.CreatedAt,
		ExpiresAt:    r.ExpiresAt,
		DisabledAt:   r.DisabledAt,
		RevokedAt:    r.RevokedAt,
		LastUsedAt:   earlier(r.LastUsedAt, now()), // an instance's clock may be wrong
	}
}

// A Status is the state of a key.
type Status string

const (
	StatusActive   Status = "active"   // Validate accepts the key
	StatusDisabled Status = "disabled" // until Update enables it again
	StatusExpired  Status = "expired"  // its ExpiresAt has passed
	StatusRevoked  Status = "revoked"  // final
)

// Status returns the key's status at the given time. If several apply, it returns the
// first of revoked, expired and disabled.
func (k Key) Status(now time.Time) Status {
	switch {
	case !k.RevokedAt.IsZero():
		return StatusRevoked
	case !k.ExpiresAt.IsZero() && !now.Before(k.ExpiresAt):
		return StatusExpired
	case !k.DisabledAt.IsZero():
		return StatusDisabled
	}
	return StatusActive
}
