package apikey

import (
	"context"
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

// logFailure logs a failed call of the store or the provider, or one that was not
// made because too many others were running. Clients decide how many fail, so it
// logs at most one line of each kind in a second.
func (m *Manager) logFailure(ctx context.Context, what string, err error) {
	limit, level, text := &m.failed, slog.LevelError, "apikey: "+what+" failed"
	if overloaded(err) {
		limit, level, text = &m.overloaded, slog.LevelWarn, "apikey: too many calls of the "+what+" are running; new ones are refused"
	}
	if suppressed, due := limit.take(time.Now().UnixMicro(), time.Second); due {
		m.log.LogAttrs(ctx, level, text, slog.Any("error", err), slog.Int64("suppressed", suppressed))
	}
}
