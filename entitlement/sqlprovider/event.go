package sqlprovider

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"time"
)

const (
	maxBody   = 64 << 10 // bytes
	maxReason = 1 << 10  // bytes

	defaultRefused = 100
	maxRefused     = 1000
)

// A RejectedEvent is an event that could not be used, with the arguments of
// [Provider.SaveRejected]. It is kept for people to look at.
type RejectedEvent struct {
	ID     string
	At     time.Time
	Reason string
	Body   []byte // as received, cut to 64 KiB
}

// Seen reports whether the event was marked by [Provider.MarkProcessed]. The error
// matches [ErrInvalid] if the event is not an ID of 1 to 255 bytes of UTF-8
// without control characters.
func (p *Provider) Seen(ctx context.Context, event string) (bool, error) {
	if err := checkEvent(event); err != nil {
		return false, verb("seen", callers(err))
	}
	found, err := collect(ctx, p, scanSeen, p.sql.seen, event)
	if err != nil || len(found) == 0 {
		return false, verb("seen", err)
	}
	if found[0].Event != event {
		return false, verb("seen", foreign(event, found[0].Event))
	}
	return found[0].Seen, nil
}

// MarkProcessed records that the event has been processed at the given instant, by
// which [Provider.Prune] selects events. Another call replaces the instant. The
// event is no longer listed by [Provider.Refused]. The error matches
// [ErrInvalid] if the event's ID is invalid, as for Seen, or the year is not in
// 1 to 9999.
func (p *Provider) MarkProcessed(ctx context.Context, event string, at time.Time) error {
	at, err := checkedEvent(event, at)
	if err == nil {
		err = p.write(ctx, event, true, p.sql.markSeen, event, at.UnixMicro(), []byte{})
	}
	return verb("mark seen", err)
}

// SaveRejected keeps an event that could not be used, and the reason. It
// replaces what it kept of the same event before. It changes nothing if the
// event was marked by [Provider.MarkProcessed]. The body is cut to 64 KiB and the
// reason to 1 KiB. Its errors are those of MarkProcessed.
func (p *Provider) SaveRejected(ctx context.Context, event string, at time.Time, reason string, body []byte) error {
	at, err := checkedEvent(event, at)
	if err == nil {
		body = append([]byte{}, body[:min(len(body), maxBody)]...) // nil would be NULL
		err = p.write(ctx, event, false, p.sql.keepRefused, event, at.UnixMicro(), legible(reason), body)
	}
	return verb("keep refused", err)
}

// write runs a statement that keeps an event. If it changed nothing, the event must
// be there as it would have left it, or seen.
func (p *Provider) write(ctx context.Context, event string, wantSeen bool, statement string, args ...any) error {
	n, err := p.exec(ctx, statement, args...)
	if err != nil || n > 0 {
		return err
	}
	found, err := collect(ctx, p, scanSeen, p.sql.seen, event)
	if err == nil && (len(found) == 0 || wantSeen && !found[0].Seen) {
		err = errSkipped
	}
	return err
}

// Refused returns the newest events that [Provider.SaveRejected] has kept,
// newest first. It returns at most limit events, and never more than 1,000. If
// limit is zero or negative, it returns at most 100.
func (p *Provider) Refused(ctx context.Context, limit int) ([]RejectedEvent, error) {
	if limit <= 0 {
		limit = defaultRefused
	}
	events, err := p.refused(ctx, min(limit, maxRefused))
	return events, verb("refused", err)
}

func (p *Provider) refused(ctx context.Context, limit int) ([]RejectedEvent, error) {
	return collect(ctx, p, scanRefused, p.sql.refused, limit)
}

// Prune deletes events, seen and refused, from before the given instant. It is
// one statement with a timeout of 20 seconds. Keep events for longer than the
// billing system retries, which is days.
func (p *Provider) Prune(ctx context.Context, before time.Time) error {
	before, err := rounded("before", before)
	if err != nil {
		return verb("prune", callers(err))
	}
	_, err = p.exec(ctx, p.sql.prune, before.UnixMicro())
	return verb("prune", err)
}

func checkedEvent(event string, at time.Time) (time.Time, error) {
	err := checkEvent(event)
	if err == nil {
		at, err = rounded("at", at)
	}
	return at, callers(err)
}

// legible returns the reason without what some database refuses to store.
func legible(reason string) string {
	return strings.Map(func(r rune) rune {
		if misleading(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(reason[:min(len(reason), maxReason)], ""))
}

type seen struct {
	Event string
	Seen  bool
}

func scanSeen(rows *sql.Rows) (s seen, err error) {
	var refused int
	if err = rows.Scan(&s.Event, &refused); err == nil && refused != 0 && refused != 1 {
		err = fmt.Errorf("event %q: refused is %d, want 0 or 1", s.Event, refused)
	}
	s.Seen = refused == 0
	return s, err
}

func scanRefused(rows *sql.Rows) (e RejectedEvent, err error) {
	err = rows.Scan(&e.ID, instantColumn{&e.At}, &e.Reason, &e.Body)
	if len(e.Body) == 0 {
		e.Body = nil // on every database
	}
	return e, err
}
