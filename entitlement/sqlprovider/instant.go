package sqlprovider

import (
	"database/sql"
	"fmt"
	"time"
)

// rounded is the instant as it is kept: UTC, with the microseconds below it cut
// off. It fails outside of the years 1 to 9999, which is what JSON and most
// databases can say.
func rounded(field string, t time.Time) (time.Time, error) {
	t = t.UTC().Truncate(time.Microsecond)
	if year := t.Year(); year < 1 || year > 9999 {
		return time.Time{}, fmt.Errorf("%s: must be in the years 1 to 9999", field)
	}
	return t, nil
}

// micros is how an instant is stored.
func micros(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UnixMicro()
}

// An instantColumn reads an instant; NULL is the zero one.
type instantColumn struct{ to *time.Time }

// Scan implements sql.Scanner.
func (c instantColumn) Scan(src any) error {
	var n sql.NullInt64
	if err := n.Scan(src); err != nil || !n.Valid {
		return err
	}
	t, err := rounded("instant", time.UnixMicro(n.Int64))
	*c.to = t
	return err
}
