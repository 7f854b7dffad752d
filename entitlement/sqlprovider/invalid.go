package sqlprovider

import "errors"

// ErrInvalid is matched by the error for what a method does not take, such as an
// owner that is too long or a plan that is not in the catalog. Nothing was asked
// of the database, and trying again does not help.
var ErrInvalid = errors.New("sqlprovider: invalid")

// invalid is an error that matches ErrInvalid.
type invalid struct{ error }

func (i invalid) Is(target error) bool { return target == ErrInvalid }

func (i invalid) Unwrap() error { return i.error }

// callers makes an error one of the caller's, if there is one.
func callers(err error) error {
	if err == nil {
		return nil
	}
	return invalid{err}
}
