package remotestore

import (
	"errors"
	"strconv"
	"time"
)

var errInstant = errors.New("a time is outside the years 1 to 9999")

// An instant is a time in the protocol: whole microseconds since 1970-01-01 UTC, or
// null for never.
type instant struct{ time.Time }

func instantOf(t time.Time) instant { return instant{t.UTC().Truncate(time.Microsecond)} }

// MarshalJSON implements json.Marshaler.
func (i instant) MarshalJSON() ([]byte, error) {
	if i.IsZero() {
		return []byte("null"), nil
	}
	if !plausible(i.Time) {
		return nil, errInstant
	}
	return strconv.AppendInt(nil, i.UnixMicro(), 10), nil
}

// UnmarshalJSON implements json.Unmarshaler.
func (i *instant) UnmarshalJSON(b []byte) error {
	*i = instant{}
	if string(b) == "null" {
		return nil
	}
	n, err := strconv.ParseInt(string(b), 10, 64)
	if err != nil {
		return errInstant
	}
	i.Time = time.UnixMicro(n).UTC()
	// The zero time means never, which is written as null.
	if i.IsZero() || !plausible(i.Time) {
		return errInstant
	}
	return nil
}

func plausible(t time.Time) bool { return t.Year() >= 1 && t.Year() <= 9999 }

// A setting is a time that an update may set. If the update does not set it, it is
// absent; null sets it to never.
type setting struct{ to *time.Time }

// IsZero reports whether the setting is absent.
func (s setting) IsZero() bool { return s.to == nil }

// MarshalJSON implements json.Marshaler.
func (s setting) MarshalJSON() ([]byte, error) { return instantOf(*s.to).MarshalJSON() }

// UnmarshalJSON implements json.Unmarshaler.
func (s *setting) UnmarshalJSON(b []byte) error {
	var i instant
	err := i.UnmarshalJSON(b)
	s.to = &i.Time
	return err
}
