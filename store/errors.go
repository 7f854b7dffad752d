package store

import (
	"errors"
	"fmt"
)

var (
	// ErrNotFound is returned when the owner has no such record.
	ErrNotFound = errors.New("store: not found")

	// ErrOwnerMismatch is returned, by stores that can tell, when the record is
	// another owner's. It matches ErrNotFound, and whoever passes an answer on
	// to an end user must not let the two be told apart.
	ErrOwnerMismatch = fmt.Errorf("store: another owner's key: %w", ErrNotFound)

	// ErrDuplicate is returned when a digest or an id is already taken.
	ErrDuplicate = errors.New("store: duplicate")

	// ErrLimit is returned when the owner may have no more keys.
	ErrLimit = errors.New("store: limit reached")

	// ErrBusy is returned, by stores that can tell, when a call was not made because
	// its context ended while other calls had all connections. It says nothing about
	// the record or the database, and nothing was changed.
	ErrBusy = errors.New("store: busy, the call was not made")

	// ErrConflict is returned when the record's state forbids the change: it
	// is revoked, or has ended, or was replaced already.
	ErrConflict = errors.New("store: conflict")
)
