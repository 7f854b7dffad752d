package apikey

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/keyhatch/keyhatch/entitlement"
	"github.com/keyhatch/keyhatch/internal/text"
	"github.com/keyhatch/keyhatch/store"
)

// Bounds of a key's description.
const (
	maxName     = 64                      // characters, after trimming
	maxHint     = maxPrefix + 1 + hintLen // bytes
	maxScopes   = 32
	maxMetadata = 4 << 10 // bytes of keys and values together
)

// latest is the last instant that every encoding can represent.
var latest = time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)

// CreateParams describe a new key.
type CreateParams struct {
	// Owner is the host's ID of the user or organisation that owns the key: 1 to 255
	// bytes of UTF-8 without control characters. It must come from the host's
	// session, never from parameters of the request.
	Owner string

	// Name is for people: 1 to 64 characters after trimming, at least one of them
	// visible. Control characters are refused. So are invisible characters, except
	// inside an emoji or a word of a script that needs them, such as Arabic. Several
	// keys may have the same name.
	Name string

	// CreatedBy is the host's ID of the actor that created the key, if it was not
	// the owner: up to 255 bytes of UTF-8 without control characters. Optional.
	CreatedBy string

	// Scopes say what the key may do: up to 32, each of 1 to 64 characters of A-Z,
	// a-z, 0-9 and :._*/-. Repeated scopes are stored once. A key without scopes is
	// accepted only if no scope is required. See [entitlement.Grants] for "*".
	Scopes []string

	// Metadata is for the host: up to 4 KiB of keys and values in all, of UTF-8
	// without NUL. No key may be empty. Every Principal has it, so it must not
	// contain secrets.
	Metadata map[string]string

	// ExpiresAt is when the key expires. It must be in the future and before the
	// year 10000, and is truncated to a microsecond. Zero means never.
	ExpiresAt time.Time

	// IdempotencyKey makes retries safe. Of all Create calls of an owner with the
	// same IdempotencyKey, in all processes and without a time limit, one creates a
	// key. The others return that key and [ErrDuplicate]. It has up to 255 bytes of
	// UTF-8 without control characters. If it is empty, every call creates a key.
	IdempotencyKey string
}

// RegisterParams describe a key whose token was generated elsewhere.
type RegisterParams struct {
	CreateParams

	// Digest is the token's SHA-256; see [DigestOf].
	Digest store.Digest

	// Hint is the beginning of the token, by which people tell keys apart: 1 to 25
	// visible ASCII characters, and never the whole token. It is stored and shown,
	// so the rest of the token must be long enough to stay secret.
	Hint string
}

// record checks p and returns its record.
func (p CreateParams) record(now time.Time) (store.Record, error) {
	r := store.Record{Owner: p.Owner, CreatedBy: p.CreatedBy, Metadata: maps.Clone(p.Metadata), CreatedAt: now}
	var err error
	if err = checkOwner(p.Owner); err != nil {
		return r, err
	}
	if r.Name, err = cleanName(p.Name); err != nil {
		return r, err
	}
	if err = invalid("CreatedBy", text.Check(p.CreatedBy, text.MaxID)); err != nil {
		return r, err
	}
	if r.Scopes, err = cleanScopes(p.Scopes); err != nil {
		return r, err
	}
	if err = checkMetadata(p.Metadata); err != nil {
		return r, err
	}
	if err = invalid("IdempotencyKey", text.Check(p.IdempotencyKey, text.MaxID)); err != nil {
		return r, err
	}
	r.ID = newID()
	if p.IdempotencyKey != "" {
		r.ID = idOf(p.Owner, p.IdempotencyKey)
	}
	r.ExpiresAt, err = cleanExpiry(p.ExpiresAt, now)
	return r, err
}

func checkOwner(owner string) error { return invalid("Owner", text.CheckID(owner)) }

// checkReason bounds the reason of a revocation, which may be empty.
func checkReason(reason string) error {
	if reason == "" {
		return nil
	}
	if err := text.Check(reason, text.MaxID); err != nil {
		return invalid("reason", err)
	}
	return invalid("reason", text.CheckVisible(reason))
}

func cleanName(name string) (string, error) {
	// A name has at most four bytes per character, and may have the same number of
	// bytes of spaces around it. Longer input is refused before any work is done on it.
	if len(name) > 2*utf8.UTFMax*maxName {
		return "", &InvalidError{Field: "Name", Reason: fmt.Sprintf("must have at most %d characters", maxName)}
	}
	name = strings.TrimSpace(name)
	switch n := utf8.RuneCountInString(name); {
	case n == 0:
		return "", &InvalidError{Field: "Name", Reason: "must not be empty"}
	case n > maxName:
		return "", &InvalidError{Field: "Name", Reason: fmt.Sprintf("must have at most %d characters", maxName)}
	}
	if err := text.Check(name, len(name)); err != nil {
		return "", invalid("Name", err)
	}
	return name, invalid("Name", text.CheckVisible(name))
}

// cleanScopes checks scopes and removes repeated ones.
func cleanScopes(scopes []string) ([]string, error) {
	if len(scopes) > maxScopes {
		return nil, &InvalidError{Field: "Scopes", Reason: fmt.Sprintf("must be at most %d", maxScopes)}
	}
	var clean []string
	for _, s := range scopes {
		if !entitlement.ValidScope(s) {
			return nil, &InvalidError{Field: "Scopes", Reason: "must each have 1 to 64 characters of A-Z, a-z, 0-9 and :._*/-"}
		}
		if !slices.Contains(clean, s) {
			clean = append(clean, s)
		}
	}
	return clean, nil
}

func checkMetadata(metadata map[string]string) error {
	size := 0
	for k, v := range metadata {
		if size += len(k) + len(v); size > maxMetadata {
			return &InvalidError{Field: "Metadata", Reason: fmt.Sprintf("must have at most %d bytes", maxMetadata)}
		}
		switch {
		case k == "":
			return &InvalidError{Field: "Metadata", Reason: "must not have an empty key"}
		case !text.AreUTF8(k, v):
			return &InvalidError{Field: "Metadata", Reason: "must be valid UTF-8"}
		case strings.ContainsRune(k, 0) || strings.ContainsRune(v, 0):
			return &InvalidError{Field: "Metadata", Reason: "must not contain NUL"} // PostgreSQL cannot store it
		}
	}
	return nil
}

var errExpiryPassed = &InvalidError{Field: "ExpiresAt", Reason: "must be in the future"}

func cleanExpiry(t, now time.Time) (time.Time, error) {
	if t.IsZero() {
		return time.Time{}, nil
	}
	t = t.UTC().Truncate(time.Microsecond)
	switch {
	case !t.After(now):
		return t, errExpiryPassed
	case t.After(latest):
		return t, &InvalidError{Field: "ExpiresAt", Reason: "must be before the year 10000"}
	}
	return t, nil
}

func checkHint(hint string) error {
	if hint == "" || len(hint) > maxHint || !text.IsVisibleASCII(hint) {
		return &InvalidError{Field: "Hint", Reason: fmt.Sprintf("must have 1 to %d printable ASCII characters", maxHint)}
	}
	return nil
}
