package cache

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/keyhatch/keyhatch/internal/guard"
)

const (
	retryPause = 400 * time.Millisecond // pause between attempts to connect, ±25%
	readyTime  = 3 * time.Second        // bounds an attempt
	maxLinks   = 8                      // concurrent attempts, including those that do not end
)

// A link is a connection to the bus, or an attempt at one.
type link struct {
	cancel context.CancelFunc
	echo   func(ctx context.Context, message string) error // nil if the bus has none
	ended  chan struct{}                                   // closed when it has ended
}

// connect keeps a link to the bus. Attempts do not wait for each other: one that hangs
// after a network failure would delay the one that succeeds after the network works again.
// connect uses the first link that is ready.
func (g *Group) connect(ctx context.Context) {
	var next time.Time // earliest time of the next attempt
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

// watch waits until the link has ended. If no echo arrives by the given time, it ends the
// link.
func (g *Group) watch(ctx context.Context, l *link, ends time.Time) {
	select {
	case <-l.ended:
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
	l := &link{cancel: cancel, ended: make(chan struct{})}
	late := time.AfterFunc(readyTime, cancel)
	ready := func(echo func(context.Context, string) error) {
		if !late.Stop() || !g.ready(l, echo) {
			g.lost(l, errReadyTwice) // it may have reconnected and missed messages
			cancel()
			return
		}
		select {
		case g.linkReady <- struct{}{}:
		default:
		}
	}
	err := guard.Run(func() error {
		return guard.Classify(g.bus.Receive(ctx, ready, func(text string) { g.receive(l, text) }))
	})
	if err == nil {
		err = errors.New("it returned no error")
	}
	late.Stop() // from now on, ready is refused
	g.lost(l, fmt.Errorf("cache: receive: %w", err))
	cancel()
	g.links.Add(-1)
	close(l.ended)
}

var errReadyTwice = errors.New("cache: Receive has called ready twice")
