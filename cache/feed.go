package cache

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

const (
	heartbeat = time.Second
	silence   = 3 * time.Second  // without hearing of itself, and the bus is lost
	aloneTTL  = 10 * time.Second // the longest life of an entry while it is
)

// A Feed joins the caches of one instance to those of the others over a [Bus].
// It sends what this instance changes, and tells a [Receiver] what the others
// do.
//
// It believes in the bus only while it hears of itself. Every second it sends a
// heartbeat; when that comes back, all that any instance had sent before has
// come too, since a bus keeps the order. From the time at which it was sent, the
// Receiver is trusted for three seconds. A bus that is silent for so long is
// lost. Then, as on a new connection, when the count of an instance's changes
// shows a gap, and when a message cannot be read, everything is doubted. While
// the bus is lost, nothing lives longer than ten seconds. The same holds for some
// minutes when another instance falls silent that has not said farewell.
//
// Its methods may be called from many goroutines.
type Feed struct {
	bus    Bus
	to     Receiver
	report func(err error)

	origin origin
	sender sender
	links  links

	mu     sync.Mutex
	up     atomic.Bool // written with mu held
	link   *link       // the connection that is listened to, or nil
	peers  peers
	silent bool      // one of them is
	ends   time.Time // of the trust; on a new link, of the patience
	waits  time.Time // since when a first report does; zero once there was one

	stop    context.CancelFunc
	closed  atomic.Bool
	running sync.WaitGroup // all goroutines, those of calls that hang included
	done    chan struct{}  // closed when they have ended
}

// slowStart is how long the bus may take to be up before that is reported.
const slowStart = 5 * time.Second

// NewFeed connects in the background. Report, which may be nil, is called, one
// call at a time, with nil when the bus is up and with the reason when it is
// lost, or has not come up after 5 s. It must not call the Feed. Close the Feed to end
// its goroutines.
func NewFeed(bus Bus, to Receiver, report func(err error)) *Feed {
	if report == nil {
		report = func(error) {}
	}
	ctx, stop := context.WithCancel(context.Background())
	f := &Feed{bus: bus, to: to, report: report, origin: newOrigin(), waits: time.Now(), stop: stop, done: make(chan struct{})}
	f.sender.init()
	to.Alone(aloneTTL)
	f.running.Go(func() { f.connect(ctx) })
	f.running.Go(func() { f.send(ctx) })
	go func() {
		f.running.Wait()
		close(f.done)
	}()
	return f
}

// Up reports whether what other instances change is heard of now.
func (f *Feed) Up() bool { return f.up.Load() }

// Publish tells the other instances to forget these keys. Nil means that the
// bus has taken the message, so that every instance that listens has it next.
// After an error others may hold on to what they have until its time ends; they
// doubt everything as soon as the bus is back.
func (f *Feed) Publish(ctx context.Context, keys ...Key) error {
	return f.publish(ctx, keys, nil)
}

// PublishGroup is like Publish for everything that belongs to a group.
func (f *Feed) PublishGroup(ctx context.Context, group Key) error {
	return f.publish(ctx, nil, []Key{group})
}

// Close ends the connection and waits until the Bus's methods have returned. It
// may be called again; the error is ctx's. The Receiver is left alone, and
// Publish fails.
func (f *Feed) Close(ctx context.Context) error {
	f.closed.Store(true)
	f.stop()
	select {
	case <-f.done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("cache: close the feed: %w", ctx.Err())
	}
}

// heard is called for each message that comes over a link.
func (f *Feed) heard(l *link, text string) {
	m, err := decode(text)
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.link != l:
		// Of a link that was given up, or is not ready.
	case err != nil:
		f.to.Doubt() // it may have named anything
	case m.origin == f.origin:
		f.echo(m)
	default:
		f.apply(m)
	}
}

// echo hears of a message of its own. When it was sent is known here alone: what
// the message says can be forged.
func (f *Feed) echo(m message) {
	sent, ok := f.sender.when(m.beat)
	until := sent.Add(silence)
	if !ok || until.Before(f.ends) || !until.After(time.Now()) {
		return
	}
	f.ends = until
	before, ttl := f.silent, time.Duration(0)
	if f.silent = f.peers.silent(time.Now()); f.silent {
		ttl = aloneTTL
	}
	f.to.Trust(until, ttl)
	if f.silent && !before {
		f.to.Doubt() // after the limit, which what is loaded from here on has
	}
	if !f.up.Swap(true) {
		f.tell(nil)
	}
}

// apply takes from a message only what to forget, so that one that was forged,
// repeated or comes late does no harm.
func (f *Feed) apply(m message) {
	if f.peers.hear(m, time.Now()) {
		f.to.Doubt()
	}
	if len(m.keys) > 0 {
		f.to.Forget(m.keys...)
	}
	for _, g := range m.groups {
		f.to.ForgetGroup(g)
	}
}

// ready takes over from a link on which everything comes from now on, unless
// another one was quicker.
func (f *Feed) ready(l *link) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.link != nil {
		return false
	}
	f.link, f.peers, f.silent = l, newPeers(time.Now()), false
	f.ends = time.Now().Add(silence)
	f.to.Doubt() // what was sent before is lost
	f.sender.renew()
	return true
}

// lost ends a link, if it is the one that is listened to.
func (f *Feed) lost(l *link, why error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.link == l {
		f.link = nil
		if f.up.Swap(false) {
			f.to.Alone(aloneTTL)
			f.tell(why)
		}
	}
	if !f.up.Load() && !f.waits.IsZero() && time.Since(f.waits) >= slowStart {
		f.tell(why) // it has never been up
	}
}

// tell reports, whatever the host makes of it.
func (f *Feed) tell(why error) {
	f.waits = time.Time{}
	if f.closed.Load() {
		return
	}
	defer func() { _ = recover() }()
	f.report(why)
}

var errSilent = errors.New("cache: the bus is silent")
