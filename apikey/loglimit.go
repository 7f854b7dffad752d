package apikey

import (
	"context"
	"hash/maphash"
	"log/slog"
	"sync/atomic"
	"time"
)

// A logLimit bounds the log lines that clients cause: at most one in an interval.
type logLimit struct {
	next       atomic.Int64 // Unix microseconds of the next line
	suppressed atomic.Int64 // lines since the last one
}

// take reports whether a line is due at now, in Unix microseconds, and how many were
// suppressed since the last one.
func (l *logLimit) take(now int64, interval time.Duration) (suppressed int64, due bool) {
	next := l.next.Load()
	if now < next || !l.next.CompareAndSwap(next, now+interval.Microseconds()) {
		l.suppressed.Add(1)
		return 0, false
	}
	return l.suppressed.Swap(0), true
}

// logFailure logs a failed call to the store or the provider, or one that was refused
// because too many others were running. Clients decide how many calls fail, so
// logFailure logs at most one line of each kind per second.
func (m *Manager) logFailure(ctx context.Context, what string, err error) {
	limit, level, text := &m.failed, slog.LevelError, "apikey: "+what+" failed"
	if overloaded(err) {
		limit, level, text = &m.overloaded, slog.LevelWarn, "apikey: too many calls to the "+what+" are running; new ones are refused"
	}
	if suppressed, due := limit.take(time.Now().UnixMicro(), time.Second); due {
		m.log.LogAttrs(ctx, level, text, slog.Any("error", err), slog.Int64("suppressed", suppressed))
	}
}

// reuseInterval is the minimum time between two warnings of one revoked key in use.
const reuseInterval = time.Minute

// reuses bounds the warnings about revoked keys in use, since a client decides how
// often it presents one. All keys of an owner use the limits of one row, so that they can
// suppress warnings only about keys of the owners that have the same row. Each key uses one limit
// of its row, perhaps together with other keys.
type reuses struct {
	seed maphash.Seed
	rows [512][8]logLimit
}

func newReuses() *reuses { return &reuses{seed: maphash.MakeSeed()} }

// take reports whether a warning of the key is due, and how many were suppressed
// since the last one.
func (r *reuses) take(owner, id string, now time.Time) (suppressed int64, due bool) {
	row := &r.rows[maphash.String(r.seed, owner)%uint64(len(r.rows))]
	return row[maphash.String(r.seed, id)%uint64(len(row))].take(now.UnixMicro(), reuseInterval)
}

// reportReuse reports a revoked key in use. Without OnEvent, it is as fast as
// reporting any other refusal, except once a minute.
func (m *Manager) reportReuse(ctx context.Context, now time.Time, p *Principal) {
	if m.log.Enabled(ctx, EventRevokedKeyUsed.level()) {
		if suppressed, due := m.reuses.take(p.Owner(), p.KeyID(), now); due {
			m.logReuse(ctx, p, suppressed)
		}
	}
	if m.opts.OnEvent != nil {
		m.opts.OnEvent(ctx, reuseOf(p))
	}
}

//go:noinline
func (m *Manager) logReuse(ctx context.Context, p *Principal, suppressed int64) {
	m.logEvent(ctx, reuseOf(p), slog.Int64("suppressed", suppressed))
}

func reuseOf(p *Principal) Event {
	return Event{Kind: EventRevokedKeyUsed, Time: now(), Owner: p.Owner(), KeyID: p.KeyID(), Reason: ReasonRevoked}
}
