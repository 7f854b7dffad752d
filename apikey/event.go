package apikey

import (
	"context"
	"errors"
	"log/slog"
	"time"
)

// An EventKind says what happened.
type EventKind string

const (
	EventCreated    EventKind = "created"    // by Create
	EventRegistered EventKind = "registered" // by Register
	EventUpdated    EventKind = "updated"    // by Update, whatever it changed
	EventRotated    EventKind = "rotated"    // KeyID is the old key, NewKeyID the one in its place
	EventRevoked    EventKind = "revoked"    // once for each key, also by RevokeAll

	// EventRefused is a validation that did not succeed; Reason says why. A
	// revoked key's is EventRevokedKeyUsed instead.
	EventRefused EventKind = "refused"

	// EventRevokedKeyUsed is a revoked key presented again: its holder missed the
	// revocation, or somebody else holds the token. It is logged at most once a
	// minute for a key, with the number of those suppressed since.
	EventRevokedKeyUsed EventKind = "revoked_key_used"

	// EventUndone is a key that this process has revoked, rotated or disabled,
	// and that the store returns as it was before: the database has gone back to
	// an earlier state. This process still refuses the key. It is reported at
	// most once an hour for each key. See After a restore in SECURITY.md.
	EventUndone EventKind = "undone"

	// EventRolledBack is a database that has gone back to an earlier state and
	// has lost revocations, as its count of them shows; the store must be a
	// [store.RevocationCounter]. It has no owner and no
	// key: any key that was revoked since then may be accepted again, by this
	// process if another one had revoked it. See After a restore in SECURITY.md.
	EventRolledBack EventKind = "rolled_back"

	EventLimitReached EventKind = "limit_reached" // a key was not created

	// EventOwnerMismatch is a management call for a key of another owner, or a
	// Register of its digest. The call returned [ErrNotFound] or [ErrDuplicate].
	// Owner is the owner in the call, and KeyID the other owner's key. For
	// management calls, the event needs a store that returns
	// [store.ErrOwnerMismatch].
	EventOwnerMismatch EventKind = "owner_mismatch"
)

// A Reason says why a validation did not succeed.
type Reason string

const (
	ReasonMissing     Reason = "missing"      // [ErrMissing]
	ReasonAmbiguous   Reason = "ambiguous"    // [ErrAmbiguous]
	ReasonMalformed   Reason = "malformed"    // [ErrMalformed]
	ReasonUnknown     Reason = "unknown"      // [ErrUnknown]
	ReasonRevoked     Reason = "revoked"      // [ErrRevoked]
	ReasonExpired     Reason = "expired"      // [ErrExpired]
	ReasonDisabled    Reason = "disabled"     // [ErrDisabled]
	ReasonNotEntitled Reason = "not_entitled" // [ErrNotEntitled]
	ReasonScope       Reason = "scope"        // [ErrScope]
	ReasonUnavailable Reason = "unavailable"  // [ErrUnavailable]
)

// An Event is something worth an audit trail. It never carries a token or a
// digest. Fields that do not apply or are not known are zero.
type Event struct {
	Kind     EventKind
	Time     time.Time
	Owner    string
	KeyID    string
	NewKeyID string
	Reason   Reason // of EventRefused and EventRevokedKeyUsed
}

// reasonOf names an error of a validation.
func reasonOf(err error) Reason {
	switch {
	case errors.Is(err, ErrUnavailable):
		return ReasonUnavailable
	case errors.Is(err, ErrMissing):
		return ReasonMissing
	case errors.Is(err, ErrMalformed):
		return ReasonMalformed
	case errors.Is(err, ErrUnknown):
		return ReasonUnknown
	case errors.Is(err, ErrRevoked):
		return ReasonRevoked
	case errors.Is(err, ErrExpired):
		return ReasonExpired
	case errors.Is(err, ErrDisabled):
		return ReasonDisabled
	case errors.Is(err, ErrNotEntitled):
		return ReasonNotEntitled
	case errors.Is(err, ErrScope):
		return ReasonScope
	case errors.Is(err, ErrAmbiguous):
		return ReasonAmbiguous
	}
	return ""
}

// level is where events of a kind are logged.
func (k EventKind) level() slog.Level {
	switch k {
	case EventRefused:
		return slog.LevelDebug // one a request at an attacker's choice: not by default
	case EventUndone, EventRolledBack:
		return slog.LevelError
	case EventRevokedKeyUsed, EventOwnerMismatch:
		return slog.LevelWarn
	}
	return slog.LevelInfo
}

// listens reports whether anyone wants to know of events of a kind.
func (m *Manager) listens(ctx context.Context, kind EventKind) bool {
	return m.opts.OnEvent != nil || m.log.Enabled(ctx, kind.level())
}

// emit hands the event to the host and writes it to the log.
func (m *Manager) emit(ctx context.Context, e Event) {
	if m.log.Enabled(ctx, e.Kind.level()) {
		m.logEvent(ctx, e)
	}
	if m.opts.OnEvent != nil {
		m.opts.OnEvent(ctx, e)
	}
}

func (m *Manager) logEvent(ctx context.Context, e Event, more ...slog.Attr) {
	m.log.LogAttrs(ctx, e.Kind.level(), "apikey: "+string(e.Kind), append([]slog.Attr{slog.String("owner", e.Owner), slog.String("key", e.KeyID),
		slog.String("new_key", e.NewKeyID), slog.String("reason", string(e.Reason))}, more...)...)
}
