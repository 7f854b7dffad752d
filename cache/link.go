package cache

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/keyhatch/keyhatch/internal/guard"
)

const (
	retryPause = 400 * time.Millisecond // between attempts to connect, a quarter more or less
	readyTime  = 3 * time.Second        // that an attempt has
	maxLinks   = 8                      // attempts at once, those included that do not end
)

// A link is a connection to the bus, or an attempt at one.
type link struct {
	cancel context.CancelFunc
	echo   func(ctx context.Context, message string) error // nil if the bus has none
	over   chan struct{}                                   // closed when it has ended
}

// connect sees to it that there is a link. Attempts do not wait for each other:
// one that hangs, as in a network that has just been parted, would hold up the
// one that succeeds once it is whole again. The first that is ready is taken.
func (g *Group) connect(ctx context.Context) {
	var next time.Time // when there may be another attempt
	for ctx.Err() == nil {
		if l, ends := g.current(); l != nil {
			g.watch(ctx, l, ends)
			continue
		}
		if !time.Now().Before(next) && g.links.Load() < maxLinks {
			next = time.Now().Add(retryPause*3/4 + guard.Jitter(retryPause/2))
			g.links.Add(1)
			g.running.Go(func() { g.attempt(ctx) })
		}
		select {
		case <-g.linkReady:
		case <-ctx.Done():
		case <-time.After(max(time.Until(next), retryPause/8)):
		}
	}
	if l, _ := g.current(); l != nil {
		g.lost(l, ctx.Err())
	}
}

func (g *Group) current() (*link, time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.link, g.ends
}

// watch waits until the link has ended or must be heard from.
func (g *Group) watch(ctx context.Context, l *link, ends time.Time) {
	select {
	case <-l.over:
		return
	case <-ctx.Done():
		g.lost(l, ctx.Err())
		return
	case <-time.After(time.Until(ends)):
	}
	if _, now := g.current(); !now.After(ends) {
		g.lost(l, errSilent)
		l.cancel()
	}
}

func (g *Group) attempt(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	l := &link{cancel: cancel, over: make(chan struct{})}
	late := time.AfterFunc(readyTime, cancel)
	ready := func(echo func(context.Context, string) error) {
		if !late.Stop() || !g.ready(l, echo) {
			g.lost(l, errReadyTwice) // it may have connected anew, and missed something
			cancel()
			return
		}
		select {
		case g.linkReady <- struct{}{}:
		default:
		}
	}
	err := guard.Run(func() error {
		return guard.Classify(g.bus.Receive(ctx, ready, func(text string) { g.heard(l, text) }))
	})
	if err == nil {
		err = errors.New("it returned no error")
	}
	late.Stop() // from here on it is not taken
	g.lost(l, fmt.Errorf("cache: receive: %w", err))
	cancel()
	g.links.Add(-1)
	close(l.over)
}

var errReadyTwice = errors.New("cache: Receive has called ready twice")
