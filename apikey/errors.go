package apikey

import (
	"errors"
	"fmt"
)

// ErrUnauthenticated is matched by every error that refuses the credential
// itself: [ErrMissing], [ErrMalformed], [ErrUnknown], [ErrRevoked],
// [ErrExpired] and [ErrDisabled]. Log the exact error, but do not show it to the
// client.
var ErrUnauthenticated = errors.New("apikey: unauthenticated")

var (
	// ErrMissing is returned when a request carries no credential.
	ErrMissing = fmt.Errorf("%w: no credential", ErrUnauthenticated)

	// ErrMalformed is returned when the credential cannot be a token: it has another
	// prefix, length or character, a wrong checksum, or, with [Options.MACKeys], no MAC
	// or a wrong one. So all tokens are malformed if their MAC key was removed.
	ErrMalformed = fmt.Errorf("%w: malformed token", ErrUnauthenticated)

	// ErrUnknown is returned when no key has this token.
	ErrUnknown = fmt.Errorf("%w: unknown key", ErrUnauthenticated)

	// ErrRevoked is returned when the key was revoked.
	ErrRevoked = fmt.Errorf("%w: key is revoked", ErrUnauthenticated)

	// ErrExpired is returned when the key has expired.
	ErrExpired = fmt.Errorf("%w: key has expired", ErrUnauthenticated)

	// ErrDisabled is returned while the key is disabled.
	ErrDisabled = fmt.Errorf("%w: key is disabled", ErrUnauthenticated)
)

// ErrForbidden is matched by the errors that refuse an active key: [ErrNotEntitled]
// and [ErrScope].
var ErrForbidden = errors.New("apikey: forbidden")

var (
	// ErrNotEntitled is returned when the owner's plan has no API access, or
	// has lapsed.
	ErrNotEntitled = fmt.Errorf("%w: plan has no API access", ErrForbidden)

	// ErrScope is returned when the key, or the owner's plan, lacks a scope
	// that the route requires.
	ErrScope = fmt.Errorf("%w: scope missing", ErrForbidden)
)

// ErrUnavailable is returned when the store or the entitlement provider fails.
// After a write it means that the write may or may not have happened, unless the
// error also matches [ErrNotPropagated]. Reads and validations may be retried.
var ErrUnavailable = errors.New("apikey: unavailable")

// ErrLimited is returned when a limit refuses a call for now. Nothing was done, and
// the same call can succeed a moment later.
//
// A Manager runs at most two calls of each kind at once for an owner. Further calls of Create,
// Register, Rotate and other writes are refused at once. Up to 128 further calls of Revoke,
// RevokeAll and an Update that disables wait, and up to 128 further calls of Get, List and Usage.
var ErrLimited = errors.New("apikey: too many calls, try again in a moment")

var (
	// ErrAmbiguous is returned when a request carries more than one credential.
	// None of them is validated.
	ErrAmbiguous = errors.New("apikey: more than one credential")

	// ErrNotPropagated is returned, together with the result, when a change was made
	// in the store and in this Manager, but could not be published to other
	// instances because [Options.Bus] or [Options.SharedCache] failed. Other
	// instances may use the old state for the longer of their [Options.CacheTTL] and
	// [Options.StaleIfError]. It matches ErrUnavailable. Rotate does not return it;
	// see Issued.Propagated.
	ErrNotPropagated = fmt.Errorf("%w: the change was made, but could not be published to other instances", ErrUnavailable)

	// ErrNotFound is returned when the owner has no such key, even if another
	// owner has it.
	ErrNotFound = errors.New("apikey: not found")

	// ErrLimitReached is returned when the owner has reached the limit of keys.
	ErrLimitReached = errors.New("apikey: key limit reached")

	// ErrDuplicate is returned when a registered digest is already taken, and
	// when an IdempotencyKey was used before.
	ErrDuplicate = errors.New("apikey: duplicate key")

	// ErrConflict is returned when a key's state forbids a change: the key is
	// revoked, expired or already rotated.
	ErrConflict = errors.New("apikey: conflict with the key's state")
)

// An InvalidError reports an invalid parameter or option. Nothing was written. Reason
// does not contain the value.
type InvalidError struct {
	Field  string
	Reason string
}

func (e *InvalidError) Error() string {
	return "apikey: invalid " + e.Field + ": " + e.Reason
}

// invalid returns an [*InvalidError] with the reason err, or nil if err is nil.
func invalid(field string, err error) error {
	if err == nil {
		return nil
	}
	return &InvalidError{Field: field, Reason: err.Error()}
}
