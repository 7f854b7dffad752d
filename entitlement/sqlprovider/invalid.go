package sqlprovider

import (
	"errors"
	"fmt"
)

// ErrInvalid is matched by the error for an invalid argument, such as an owner
// that is too long or a plan that is not in the catalog. The database was not
// asked, and trying again does not help.
var ErrInvalid = errors.New("sqlprovider: invalid")

// invalid is an error that matches ErrInvalid.
type invalid struct{ error }

func (i invalid) Is(target error) bool { return target == ErrInvalid }

func (i invalid) Unwrap() error { return i.error }

// callers returns err as an error that matches ErrInvalid, or nil if err is
// nil.
func callers(err error) error {
	if err == nil {
		return nil
	}
	return invalid{err}
}

// named puts the field's name before err, which may be nil.
func named(field string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", field, err)
}
