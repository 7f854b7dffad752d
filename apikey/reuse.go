package apikey

import (
	"context"
	"hash/maphash"
	"log/slog"
	"time"
)

// reuseInterval is the minimum time between two warnings of one revoked key in use.
const reuseInterval = time.Minute

// reuses bounds the warnings about revoked keys in use, since a client decides how
// often it presents one. All keys of an owner share a row of limits, so that they
// cannot suppress the warnings about every other owner's keys. Each key uses one limit
// of the row. Keys with the same limit share its warnings.
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

// reportReuse reports a revoked key in use. Without OnEvent, it is as fast as the
// report of another refusal, except once a minute.
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
