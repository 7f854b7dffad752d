package sqlprovider

import (
	"errors"
	"time"

	"github.com/keyhatch/keyhatch/internal/sqldb"
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

// An instantColumn scans an instant. NULL is the zero one.
type instantColumn struct{ to *time.Time }

// Scan implements sql.Scanner.
func (c instantColumn) Scan(src any) error {
	var t time.Time
	err := sqldb.Time{To: &t}.Scan(src)
	if err == nil {
		*c.to, err = rounded(t)
	}
	return err
}
