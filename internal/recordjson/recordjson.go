// Package recordjson is the JSON form of a [store.Record]. Package remotestore sends
// it, and shared caches keep it. Readers must accept nothing that they would not write
// themselves; see strictjson.DecodeCanonical.
package recordjson

import (
	"encoding/hex"
	"errors"
	"slices"
	"strconv"
	"time"

	"github.com/keyhatch/keyhatch/internal/text"
	"github.com/keyhatch/keyhatch/store"
)

// A Record is a [store.Record] as JSON. Empty fields are left out.
type Record struct {
	ID           string            `json:"id"`
	Owner        string            `json:"owner"`
	Name         string            `json:"name,omitempty"`
	Hint         string            `json:"hint,omitempty"`
	CreatedBy    string            `json:"created_by,omitempty"`
	RevokeReason string            `json:"revoke_reason,omitempty"`
	ReplacedBy   string            `json:"replaced_by,omitempty"`
	Digest       Digest            `json:"digest"`
	Scopes       []string          `json:"scopes,omitempty"`
	Metadata     map[string]string `json:"metadata,omitempty"`
	CreatedAt    Time              `json:"created_at"`
	ExpiresAt    Time              `json:"expires_at,omitzero"`
	DisabledAt   Time              `json:"disabled_at,omitzero"`
	RevokedAt    Time              `json:"revoked_at,omitzero"`
	LastUsedAt   Time              `json:"last_used_at,omitzero"`
}

// Of returns r as JSON. It returns an error if JSON cannot hold r unchanged.
func Of(r store.Record) (Record, error) {
	switch {
	case !text.AreUTF8(r.ID, r.Owner, r.Name, r.Hint, r.CreatedBy, r.RevokeReason, r.ReplacedBy) ||
		!text.AreUTF8(r.Scopes...) || !text.IsMapUTF8(r.Metadata):
		return Record{}, errUTF8
	case !arePossible(r.CreatedAt, r.ExpiresAt, r.DisabledAt, r.RevokedAt, r.LastUsedAt):
		return Record{}, errTime
	}
	return Record{
		ID: r.ID, Owner: r.Owner, Name: r.Name, Hint: r.Hint, CreatedBy: r.CreatedBy,
		RevokeReason: r.RevokeReason, ReplacedBy: r.ReplacedBy, Digest: Digest(r.Digest), Scopes: r.Scopes, Metadata: r.Metadata,
		CreatedAt: TimeOf(r.CreatedAt), ExpiresAt: TimeOf(r.ExpiresAt), DisabledAt: TimeOf(r.DisabledAt),
		RevokedAt: TimeOf(r.RevokedAt), LastUsedAt: TimeOf(r.LastUsedAt),
	}, nil
}

// Stored converts r back to a [store.Record].
func (r Record) Stored() store.Record {
	return store.Record{
		ID: r.ID, Owner: r.Owner, Name: r.Name, Hint: r.Hint, CreatedBy: r.CreatedBy,
		RevokeReason: r.RevokeReason, ReplacedBy: r.ReplacedBy, Digest: store.Digest(r.Digest), Scopes: r.Scopes, Metadata: r.Metadata,
		CreatedAt: r.CreatedAt.Time, ExpiresAt: r.ExpiresAt.Time, DisabledAt: r.DisabledAt.Time,
		RevokedAt: r.RevokedAt.Time, LastUsedAt: r.LastUsedAt.Time,
	}
}

// A Digest is a [store.Digest] as 64 hexadecimal digits in lower case.
type Digest store.Digest

// MarshalText implements encoding.TextMarshaler.
func (d Digest) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, d[:]), nil }

// UnmarshalText implements encoding.TextUnmarshaler. It also accepts upper case.
func (d *Digest) UnmarshalText(digits []byte) error {
	if len(digits) != hex.EncodedLen(len(d)) {
		return errors.New("a digest does not have 64 digits")
	}
	_, err := hex.Decode(d[:], digits)
	return err
}

var (
	errUTF8 = errors.New("a string is not valid UTF-8")
	errTime = errors.New("a time is outside the years 1 to 9999")
)

// A Time is an instant in whole microseconds since 1970-01-01 UTC, or null for never.
type Time struct{ time.Time }

// TimeOf returns t, truncated to a microsecond.
func TimeOf(t time.Time) Time { return Time{t.UTC().Truncate(time.Microsecond)} }

// MarshalJSON implements json.Marshaler.
func (t Time) MarshalJSON() ([]byte, error) {
	if t.IsZero() {
		return []byte("null"), nil
	}
	if !t.isPossible() {
		return nil, errTime
	}
	return strconv.AppendInt(nil, t.UnixMicro(), 10), nil
}

// UnmarshalJSON implements json.Unmarshaler.
func (t *Time) UnmarshalJSON(b []byte) error {
	*t = Time{}
	if string(b) == "null" {
		return nil
	}
	n, err := strconv.ParseInt(string(b), 10, 64)
	if err != nil {
		return errTime
	}
	t.Time = time.UnixMicro(n).UTC()
	// The zero time means never, which is written as null.
	if t.IsZero() || !t.isPossible() {
		return errTime
	}
	return nil
}

func (t Time) isPossible() bool { return t.Year() >= 1 && t.Year() <= 9999 }

// arePossible reports whether JSON can hold the times. It cannot hold one that differs
// from the zero time by less than a microsecond.
func arePossible(times ...time.Time) bool {
	return !slices.ContainsFunc(times, func(t time.Time) bool {
		return !t.IsZero() && (TimeOf(t).IsZero() || !TimeOf(t).isPossible())
	})
}
