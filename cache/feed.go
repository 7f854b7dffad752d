package cache

import (
	"context"
	"crypto/rand"
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
	slowStart = 5 * time.Second  // how long the bus may take to be up before that is reported
)

// A Feed joins the caches of one instance to those of the others over a [Bus].
// It sends what this instance changes, and tells a [Receiver] what the others
// do.
//
// It believes in the bus only while it hears of itself. Every second it has the
// bus send it an echo; when that comes back, all that any instance had sent
// before has come too, since a bus keeps the order. From the time at which the
// echo was sent, the Receiver is trusted for three seconds. A bus that is silent
// for so long is lost. Then, as on a new connection, and when the count of an
// instance's changes shows a gap, everything is doubted. While the bus is lost,
// nothing lives longer than ten seconds.
//
// An instance tells all others that it is there a second after each change, and
// otherwise as often as there are others: with n instances every second, or every
// n²/2500 seconds where that is longer, which each message announces. One that is
// two seconds late, and has not said farewell, is silent. Then everything is
// doubted, and lives no longer than ten seconds, until it is heard again or for
// five minutes. The same holds for ten seconds after a message that is not
// authentic, or after one of an instance beyond those that can be told apart.
//
// Its methods may be called from many goroutines.
type Feed struct {
	bus  Bus
	to   Receiver
	opts FeedOptions

	origin origin
	key    []byte // of the messages' MACs; nil without a secret
	mark   atomic.Uint64
	sender sender

	links     atomic.Int64  // that have not ended
	linkReady chan struct{} // one of them is

	mu     sync.Mutex
	up     atomic.Bool // written with mu held
	link   *link       // the connection that is listened to, or nil
	peers  peers
	silent bool      // one of them is
	seen   uint64    // the highest mark, of this instance or another
	ends   time.Time // of the trust; on a new link, of the patience
	waits  time.Time // since when a first report does; zero once there was one

	stop    context.CancelFunc
	closed  atomic.Bool
	running sync.WaitGroup // all goroutines, those of calls that hang included
	done    chan struct{}  // closed when they have ended
}

// FeedOptions configure a Feed. Its functions may be nil. They are called one at
// a time, and must not call the Feed.
type FeedOptions struct {
	// Report is called with nil when the bus is up and with the reason when it
	// is lost, or has not come up after 5 s.
	Report func(err error)

	// OnMark is called with the mark of another instance when that is higher
	// than any that this Feed has been given or has received; see
	// [Feed.SetMark]. It is not called without a secret of the Bus, as anyone who
	// can publish could send any mark.
	OnMark func(mark uint64)

	// TTL is how long the Receiver's entries live. Without a secret of the Bus,
	// a farewell can be forged, so an instance that says it counts as silent
	// for so long. Default 60 s.
	TTL time.Duration
}

// NewFeed connects in the background. A nil FeedOptions works. Close the Feed to
// end its goroutines.
func NewFeed(bus Bus, to Receiver, opts *FeedOptions) *Feed {
	ctx, stop := context.WithCancel(context.Background())
	f := &Feed{bus: bus, to: to, waits: time.Now(), stop: stop, done: make(chan struct{}), linkReady: make(chan struct{}, 1)}
	if opts != nil {
		f.opts = *opts
	}
	if f.opts.TTL <= 0 {
		f.opts.TTL = time.Minute
	}
	if b, ok := bus.(interface{ MACKey() []byte }); ok {
		f.key = b.MACKey()
	}
	rand.Read(f.origin[:])
	f.peers.known = map[origin]peer{}
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

// SetMark sends a number to the other instances, such as a count that the store
// keeps, so that one that reads a lower count knows that the store has gone back.
// Each message from now on has it. Set a lower one only if the store has gone back,
// so that instances that start after that are not told of the count before.
func (f *Feed) SetMark(mark uint64) {
	f.mark.Store(mark)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.seen = max(f.seen, mark)
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
	m, err := decode(text, f.key)
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.link != l:
		// Of a link that was given up, or is not ready.
	case err != nil:
		f.peers.stranger(time.Now())
		if !f.silent { // or it has no more effect
			f.review()
		}
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
	if !f.up.Swap(true) {
		f.tell(nil)
	}
	f.review()
}

// review prolongs the trust as far as all others are heard.
func (f *Feed) review() {
	if !f.up.Load() {
		return
	}
	before, ttl := f.silent, time.Duration(0)
	if f.silent = f.peers.review(time.Now()); f.silent {
		ttl = aloneTTL
	}
	f.to.Trust(f.ends, ttl)
	if f.silent && !before {
		f.to.Doubt() // after the limit, which what is loaded from here on has
	}
}

// apply takes from a message only what to forget, so that one that was forged,
// repeated or comes late does no harm.
func (f *Feed) apply(m message) {
	now := time.Now()
	if f.peers.hear(m, now) {
		f.to.Doubt()
	}
	if m.bye && len(f.key) == 0 {
		f.peers.doubtBye(m.origin, now, f.opts.TTL)
	}
	if len(m.keys) > 0 {
		f.to.Forget(m.keys...)
	}
	for _, g := range m.groups {
		f.to.ForgetGroup(g)
	}
	f.seeMark(m.mark)
}

// ready takes over from a link on which everything comes from now on, unless
// another one was quicker.
func (f *Feed) ready(l *link, echo func(context.Context, string) error) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.link != nil {
		return false
	}
	l.echo = echo
	f.link, f.silent = l, false
	f.peers.reconnect(time.Now())
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

// tell reports, and survives a function of the host that panics.
func (f *Feed) tell(why error) {
	f.waits = time.Time{}
	if f.opts.Report == nil || f.closed.Load() {
		return
	}
	defer func() { _ = recover() }()
	f.opts.Report(why)
}

func (f *Feed) seeMark(mark uint64) {
	if f.opts.OnMark == nil || len(f.key) == 0 || mark <= f.seen {
		return
	}
	f.seen = mark
	defer func() { _ = recover() }()
	f.opts.OnMark(mark)
}

var errSilent = errors.New("cache: the bus is silent")
