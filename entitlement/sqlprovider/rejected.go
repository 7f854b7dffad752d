package sqlprovider

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"time"

	"github.com/keyhatch/keyhatch/internal/sqldb"
	"github.com/keyhatch/keyhatch/internal/text"
)

const (
	maxBody   = 256 << 10 // bytes, as in package webhook
	maxReason = 1 << 10   // bytes

	defaultRejected = 100
	maxRejected     = 1000
)

// A RejectedEvent is a billing event that could not be used and was saved for review
// by [Provider.SaveRejected].
type RejectedEvent struct {
	Source string    // the billing system, whose Handler replays the event; empty for an event that version 2 of the schema saved
	ID     string    // the event's ID, or a hash of its body if it has none
	At     time.Time // when it was saved
	Reason string    // why it could not be used, cut to 1 KiB
	Body   []byte    // as received, cut to 256 KiB
}

// SaveRejected saves an event of a billing system that could not be used, and the
// reason. It replaces an earlier copy of the same event. [Provider.Apply] deletes it when
// it has stored a report with the same Source and Event. The body is cut to 256 KiB and
// the reason to 1 KiB. SaveRejected returns an [*entitlement.InvalidError] if the source or
// the event's ID is invalid, as for Apply, if the ID is empty, or if the year is not in 1
// to 9999.
func (p *Provider) SaveRejected(ctx context.Context, source, event string, at time.Time, reason string, body []byte) error {
	err := invalid("Source", checkSource(source))
	if err == nil {
		err = invalid("Event", text.CheckID(event))
	}
	if err == nil {
		at, err = rounded(at)
		err = invalid("at", err)
	}
	if err == nil {
		body = append([]byte{}, body[:min(len(body), maxBody)]...) // nil would be NULL
		err = p.saveRejected(ctx, source, event, at.UnixMicro(), sanitized(reason), body)
	}
	return wrap("save rejected", err)
}

func (p *Provider) saveRejected(ctx context.Context, source, event string, at int64, reason string, body []byte) error {
	n, err := p.exec(ctx, p.sql.saveRejected, source, event, at, reason, body)
	if err != nil || n > 0 {
		return err
	}
	saved, err := collect(ctx, p, scanText, p.sql.isRejected, source, event)
	if err == nil && len(saved) == 0 {
		err = sqldb.ErrSkipped
	}
	return err
}

// deleteRejected deletes a saved event. It sends no DELETE for an event that was never
// rejected, so most events need no right to delete.
func (p *Provider) deleteRejected(ctx context.Context, source, event string) error {
	if event == "" {
		return nil
	}
	saved, err := collect(ctx, p, scanText, p.sql.isRejected, source, event)
	if err == nil && len(saved) > 0 {
		_, err = p.exec(ctx, p.sql.deleteRejected, source, event)
	}
	return err
}

func checkSource(source string) error {
	if !text.IsSource(source) {
		return errors.New(text.SourceRule)
	}
	return nil
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

// Prune deletes the rejected events that were saved before the given instant. It is one
// statement with a timeout of 20 seconds. Keep events for longer than the billing system
// retries, which is days. Prune returns an [*entitlement.InvalidError] if the year is not
// in 1 to 9999.
func (p *Provider) Prune(ctx context.Context, before time.Time) error {
	before, err := rounded(before)
	if err != nil {
		return wrap("prune", invalid("before", err))
	}
	_, err = p.exec(ctx, p.sql.prune, before.UnixMicro())
	return wrap("prune", err)
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

func scanRejected(rows *sql.Rows) (e RejectedEvent, err error) {
	err = rows.Scan(&e.Source, &e.ID, instantColumn{&e.At}, &e.Reason, &e.Body)
	if len(e.Body) == 0 {
		e.Body = nil // some databases return nil and others an empty slice
	}
	return e, err
}
