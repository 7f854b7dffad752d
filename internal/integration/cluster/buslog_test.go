package cluster_test

import (
	"context"
	"log/slog"
	"strings"
	"sync/atomic"
)

// A busLog reads from a Manager's log whether its bus is up.
type busLog struct{ up atomic.Bool }

func (b *busLog) logger() *slog.Logger { return slog.New(b) }

func (b *busLog) Enabled(_ context.Context, l slog.Level) bool { return l >= slog.LevelInfo }
func (b *busLog) WithAttrs([]slog.Attr) slog.Handler           { return b }
func (b *busLog) WithGroup(string) slog.Handler                { return b }

func (b *busLog) Handle(_ context.Context, r slog.Record) error {
	switch {
	case strings.HasPrefix(r.Message, "apikey: the bus is up"):
		b.up.Store(true)
	case strings.HasPrefix(r.Message, "apikey: the bus is down"):
		b.up.Store(false)
	}
	return nil
}
