package sqlprovider

import (
	"database/sql"
	"errors"
	"time"
)

// rounded returns the instant as it is stored: in UTC, truncated to
// microseconds. It returns an error outside of the years 1 to 9999, which JSON
// and most databases cannot represent.
func rounded(t time.Time) (time.Time, error) {
	t = t.UTC().Truncate(time.Microsecond)
	if year := t.Year(); year < 1 || year > 9999 {
		return time.Time{}, errors.New("must be in the years 1 to 9999")
	}
	return t, nil
}

// micros returns the stored form of an instant: microseconds, or nil for the
// zero one.
func micros(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UnixMicro()
}

// An instantColumn scans an instant. NULL is the zero one.
type instantColumn struct{ to *time.Time }

// Scan implements sql.Scanner.
func (c instantColumn) Scan(src any) error {
	var n sql.NullInt64
	if err := n.Scan(src); err != nil || !n.Valid {
		return err
	}
	t, err := rounded(time.UnixMicro(n.Int64))
	*c.to = t
	return err
}
