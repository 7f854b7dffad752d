package store

import (
	"errors"
	"fmt"
)

var (
	// ErrNotFound is returned if the owner has no such record.
	ErrNotFound = errors.New("store: not found")

	// ErrOwnerMismatch is returned, by stores that can tell, if the record belongs to
	// another owner. It matches ErrNotFound. Responses to end users must not
	// distinguish the two.
	ErrOwnerMismatch = fmt.Errorf("store: another owner's key: %w", ErrNotFound)

	// ErrDuplicate is returned if a digest or an ID is already taken.
	ErrDuplicate = errors.New("store: duplicate")

	// ErrLimit is returned if the owner has as many keys as the limit allows.
	ErrLimit = errors.New("store: limit reached")

	// ErrBusy is returned, by stores that can tell, if a call was not made because its
	// context ended while other calls had all connections and the database replied to
	// them. It says nothing about the record, and nothing was changed.
	ErrBusy = errors.New("store: busy, the call was not made")

	// ErrConflict is returned if the record's state forbids the change: it is
	// revoked, expired or already replaced.
	ErrConflict = errors.New("store: conflict")
)
