package apikey

import (
	"context"
	"hash/maphash"
	"log/slog"
	"sync/atomic"
	"time"
)

// reuseInterval is the least time between two warnings of one revoked key in use.
const reuseInterval = time.Minute

// reuses bounds the warnings of revoked keys in use: the one who holds the key
// decides how often it is presented. Keys are spread over a fixed number of slots.
// Those that share one share its warnings, of which only the first key's is written.
type reuses struct {
	seed  maphash.Seed
	slots [1024]reuseSlot
}

type reuseSlot struct {
	next       atomic.Int64 // Unix microseconds of the next warning
	suppressed atomic.Int64 // warnings since the last one
}

func newReuses() *reuses { return &reuses{seed: maphash.MakeSeed()} }

// take reports whether a warning of the key is due, and how many have been suppressed
// in its slot since the last one.
func (r *reuses) take(id string, now int64) (suppressed int64, due bool) {
	s := &r.slots[maphash.String(r.seed, id)%uint64(len(r.slots))]
	next := s.next.Load()
	if now < next || !s.next.CompareAndSwap(next, now+reuseInterval.Microseconds()) {
		s.suppressed.Add(1)
		return 0, false
	}
	return s.suppressed.Swap(0), true
}

// reportReuse reports a revoked key in use. Without OnEvent it takes no longer than
// another refusal, but for one in a minute.
func (m *Manager) reportReuse(ctx context.Context, now time.Time, p *Principal) {
	if m.log.Enabled(ctx, EventReused.level()) {
		if suppressed, due := m.reuses.take(p.KeyID(), now.UnixMicro()); due {
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
	return Event{Kind: EventReused, Time: now(), Owner: p.Owner(), KeyID: p.KeyID(), Reason: ReasonRevoked}
}
