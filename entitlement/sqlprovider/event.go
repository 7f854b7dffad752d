package sqlprovider

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"time"

	"github.com/keyhatch/keyhatch/internal/sqldb"
	"github.com/keyhatch/keyhatch/internal/text"
)

const (
	maxBody   = 64 << 10 // bytes
	maxReason = 1 << 10  // bytes

	defaultRejected = 100
	maxRejected     = 1000
)

// A RejectedEvent is a billing event that could not be used and was saved for review
// by [Provider.SaveRejected].
type RejectedEvent struct {
	ID     string
	At     time.Time
	Reason string
	Body   []byte // as received, cut to 64 KiB
}

// IsProcessed reports whether the event was marked by [Provider.MarkProcessed]. It
// returns an [*entitlement.InvalidError] if the event is not an ID of 1 to 255 bytes of
// UTF-8 without control characters.
func (p *Provider) IsProcessed(ctx context.Context, event string) (bool, error) {
	if err := invalid("event", text.CheckID(event)); err != nil {
		return false, wrap("is processed", err)
	}
	found, err := collect(ctx, p, scanEventState, p.sql.isProcessed, event)
	if err != nil || len(found) == 0 {
		return false, wrap("is processed", err)
	}
	if found[0].event != event {
		return false, wrap("is processed", mismatch(event, found[0].event))
	}
	return found[0].processed, nil
}

// MarkProcessed records that the event has been processed at the given instant, by
// which [Provider.Prune] selects events. Another call replaces the instant. The
// event is no longer listed by [Provider.Rejected]. MarkProcessed returns an
// [*entitlement.InvalidError] if the event's ID is invalid, as for IsProcessed, or the
// year is not in 1 to 9999.
func (p *Provider) MarkProcessed(ctx context.Context, event string, at time.Time) error {
	at, err := checkedEvent(event, at)
	if err == nil {
		err = p.writeEvent(ctx, event, true, p.sql.markProcessed, event, at.UnixMicro(), []byte{})
	}
	return wrap("mark processed", err)
}

// SaveRejected saves an event that could not be used, and the reason. It replaces an
// earlier copy of the same event. It changes nothing if the event was marked by
// [Provider.MarkProcessed]. The body is cut to 64 KiB and the reason to 1 KiB.
// SaveRejected returns the same errors as MarkProcessed.
func (p *Provider) SaveRejected(ctx context.Context, event string, at time.Time, reason string, body []byte) error {
	at, err := checkedEvent(event, at)
	if err == nil {
		body = append([]byte{}, body[:min(len(body), maxBody)]...) // nil would be NULL
		err = p.writeEvent(ctx, event, false, p.sql.saveRejected, event, at.UnixMicro(), sanitized(reason), body)
	}
	return wrap("save rejected", err)
}

// writeEvent runs a statement that stores an event. If the statement changed nothing,
// the event must be stored already, and processed if wantProcessed is set.
func (p *Provider) writeEvent(ctx context.Context, event string, wantProcessed bool, statement string, args ...any) error {
	n, err := p.exec(ctx, statement, args...)
	if err != nil || n > 0 {
		return err
	}
	found, err := collect(ctx, p, scanEventState, p.sql.isProcessed, event)
	if err == nil && (len(found) == 0 || wantProcessed && !found[0].processed) {
		err = sqldb.ErrSkipped
	}
	return err
}

// Rejected returns the newest events that [Provider.SaveRejected] has
// saved, newest first. It returns at most limit events, and never more than 1,000. If
// limit is zero or negative, it returns at most 100.
func (p *Provider) Rejected(ctx context.Context, limit int) ([]RejectedEvent, error) {
	if limit <= 0 {
		limit = defaultRejected
	}
	events, err := p.rejected(ctx, min(limit, maxRejected))
	return events, wrap("rejected", err)
}

func (p *Provider) rejected(ctx context.Context, limit int) ([]RejectedEvent, error) {
	return collect(ctx, p, scanRejected, p.sql.rejected, int64(limit))
}

// Prune deletes processed and rejected events from before the given instant. It is
// one statement with a timeout of 20 seconds. Keep events for longer than the
// billing system retries, which is days.
func (p *Provider) Prune(ctx context.Context, before time.Time) error {
	before, err := rounded(before)
	if err != nil {
		return wrap("prune", invalid("before", err))
	}
	_, err = p.exec(ctx, p.sql.prune, before.UnixMicro())
	return wrap("prune", err)
}

func checkedEvent(event string, at time.Time) (time.Time, error) {
	err := invalid("event", text.CheckID(event))
	if err == nil {
		at, err = rounded(at)
		err = invalid("at", err)
	}
	return at, err
}

// sanitized returns the reason without the characters that some database refuses.
func sanitized(reason string) string {
	return strings.Map(func(r rune) rune {
		if text.IsMisleading(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(reason[:min(len(reason), maxReason)], ""))
}

type eventState struct {
	event     string
	processed bool
}

func scanEventState(rows *sql.Rows) (s eventState, err error) {
	var refused int
	if err = rows.Scan(&s.event, &refused); err == nil && refused != 0 && refused != 1 {
		err = fmt.Errorf("event %q: refused is %d, want 0 or 1", s.event, refused)
	}
	s.processed = refused == 0
	return s, err
}

func scanRejected(rows *sql.Rows) (e RejectedEvent, err error) {
	err = rows.Scan(&e.ID, instantColumn{&e.At}, &e.Reason, &e.Body)
	if len(e.Body) == 0 {
		e.Body = nil // on every database
	}
	return e, err
}
