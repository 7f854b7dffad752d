package sqldb

import (
	"database/sql"
	"time"
)

// Micros returns the stored form of an instant: microseconds since 1970, or nil for the
// zero time.
func Micros(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UnixMicro()
}

// A Time scans an instant that [Micros] has stored.
type Time struct{ To *time.Time }

// Scan implements sql.Scanner.
func (t Time) Scan(src any) error {
	var n sql.NullInt64
	if err := n.Scan(src); err != nil {
		return err
	}
	*t.To = time.Time{}
	if n.Valid {
		*t.To = time.UnixMicro(n.Int64).UTC()
	}
	return nil
}
