package apikey

import (
	"slices"
	"time"

	"github.com/keyhatch/keyhatch/store"
)

// A Key is what may be shown of a key. It holds neither the token nor its
// digest. Zero times mean never.
type Key struct {
	ID           string
	Owner        string
	Name         string
	Hint         string // the token's first characters, for people to tell keys apart
	CreatedBy    string
	RevokeReason string
	ReplacedBy   string // the ID of the key that Rotate put in its place
	Scopes       []string
	Metadata     map[string]string
	CreatedAt    time.Time
	ExpiresAt    time.Time
	DisabledAt   time.Time
	RevokedAt    time.Time
	LastUsedAt   time.Time // written in batches, about every [Options.TouchInterval]
}

// keyOf takes over r's slices and maps.
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

// A Status says what a key is good for.
type Status string

const (
	StatusActive   Status = "active"   // admits its holder
	StatusDisabled Status = "disabled" // until it is enabled again
	StatusExpired  Status = "expired"  // its ExpiresAt has come
	StatusRevoked  Status = "revoked"  // for good
)

// Status returns the key's status at the given instant. Where several apply,
// the most final one counts: revoked, then expired, then disabled.
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
