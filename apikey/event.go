package apikey

import (
	"context"
	"errors"
	"log/slog"
	"time"
)

// An EventKind is the kind of an Event.
type EventKind string

const (
	EventCreated    EventKind = "created"    // by Create
	EventRegistered EventKind = "registered" // by Register
	EventUpdated    EventKind = "updated"    // by Update
	EventRotated    EventKind = "rotated"    // by Rotate; KeyID is the old key, NewKeyID its successor
	EventRevoked    EventKind = "revoked"    // by Revoke, and by RevokeAll once for each key

	// EventRefused means that a validation failed, for the given Reason. A
	// validation of a revoked key is EventRevokedKeyUsed instead.
	EventRefused EventKind = "refused"

	// EventRevokedKeyUsed means that a revoked key was presented: its holder missed
	// the revocation, or somebody else has the token. OnEvent gets each use. The
	// log has at most one line a minute for each key, with the number of lines
	// suppressed since the last one.
	EventRevokedKeyUsed EventKind = "revoked_key_used"

	// EventUndone means that the store has lost a change: this process revoked,
	// rotated or disabled the key, and the store returns its earlier state, for
	// example after a restore. This process still refuses the key. The event is
	// emitted at most once an hour for each key. See After a restore in
	// SECURITY.md.
	EventUndone EventKind = "undone"

	// EventRolledBack means that the database was rolled back to an earlier state
	// and has lost revocations: their number has decreased. The event needs a store
	// that is a [store.RevocationCounter]. It has no owner and no key, since any
	// key that was revoked after that state may be accepted again. This process
	// still refuses those that it has revoked itself. See After a restore in
	// SECURITY.md.
	EventRolledBack EventKind = "rolled_back"

	EventLimitReached EventKind = "limit_reached" // a call returned ErrLimitReached

	// EventOwnerMismatch means that a management call named a key of another owner,
	// or that Register got the digest of such a key. The call returned [ErrNotFound] or
	// [ErrDuplicate]. Owner is the owner in the call, and KeyID the other owner's
	// key. For management calls, the event needs a store that returns
	// [store.ErrOwnerMismatch].
	EventOwnerMismatch EventKind = "owner_mismatch"
)

// A Reason says why a validation failed.
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

// An Event is an entry of an audit trail. It never contains a token or a digest.
// Fields that do not apply or are not known are zero.
type Event struct {
	Kind     EventKind
	Time     time.Time
	Owner    string
	KeyID    string
	NewKeyID string
	Reason   Reason // of EventRefused and EventRevokedKeyUsed
}

// reasonOf returns the Reason of an error of a validation.
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

// level returns the level at which events of kind k are logged.
func (k EventKind) level() slog.Level {
	switch k {
	case EventRefused:
		return slog.LevelDebug // an attacker decides how many there are
	case EventUndone, EventRolledBack:
		return slog.LevelError
	case EventRevokedKeyUsed, EventOwnerMismatch:
		return slog.LevelWarn
	}
	return slog.LevelInfo
}

// listens reports whether events of a kind are logged or passed to OnEvent.
func (m *Manager) listens(ctx context.Context, kind EventKind) bool {
	return m.opts.OnEvent != nil || m.log.Enabled(ctx, kind.level())
}

// emit logs the event and passes it to OnEvent.
func (m *Manager) emit(ctx context.Context, e Event) {
	if m.log.Enabled(ctx, e.Kind.level()) {
		m.logEvent(ctx, e)
	}
	if m.opts.OnEvent != nil {
		m.opts.OnEvent(ctx, e)
	}
}

// logEvent leaves out the fields that are zero.
func (m *Manager) logEvent(ctx context.Context, e Event, more ...slog.Attr) {
	var attrs []slog.Attr
	for _, a := range []slog.Attr{slog.String("owner", e.Owner), slog.String("key", e.KeyID), slog.String("new_key", e.NewKeyID), slog.String("reason", string(e.Reason))} {
		if a.Value.String() != "" {
			attrs = append(attrs, a)
		}
	}
	m.log.LogAttrs(ctx, e.Kind.level(), "apikey: "+string(e.Kind), append(attrs, more...)...)
}
