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
	silence   = 3 * time.Second  // the bus is down if no echo arrives for so long
	aloneTTL  = 10 * time.Second // maximum life of an entry while the bus is down
	slowStart = 5 * time.Second  // a bus that is not up after so long is reported
)

// A Feed joins the caches of one instance to those of the others over a [Bus].
// It publishes the changes of this instance, and passes those of the others to a
// [Receiver].
//
// A Feed trusts the bus only while its own echoes come back. It sends one every
// second. Since a bus keeps the order of messages, all messages that were sent
// before the echo have arrived when the echo does. The Receiver is trusted for
// three seconds from the time at which the echo was sent. If no echo arrives for
// three seconds, the bus is down, and entries expire after ten seconds until it
// is up again. The Feed marks all entries stale when the bus goes down and on a new
// connection.
//
// An instance sends a heartbeat to all others one second after each change, and
// otherwise every second or every n²/2500 seconds with n instances, whichever is
// longer. Each message announces the interval. An instance whose heartbeat is two
// seconds late, and that has not left, is silent. Then the Feed marks all entries
// stale and limits new ones to ten seconds, until the instance sends again or five
// minutes have passed. It does the same for ten seconds after a message that is
// not authentic, after one whose number shows that an earlier one is lost, and
// after one of an instance beyond those that it can keep track of. So messages,
// which may be forged or old ones repeated, mark all entries stale at most once in
// ten seconds.
//
// If the Bus has no secret, the Feed waits for no heartbeat longer than the number
// of instances explains that it knows itself.
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

	links     atomic.Int64  // links that have not ended
	linkReady chan struct{} // signals that one of them is ready

	mu     sync.Mutex
	up     atomic.Bool // written with mu held
	link   *link       // the current connection, or nil
	peers  peers
	silent bool      // a peer is silent
	seen   uint64    // highest mark of this instance and all others
	ends   time.Time // end of the trust; on a new link, deadline of the first echo
	waits  time.Time // when the Feed began to wait for its first report; zero after it

	stop    context.CancelFunc
	closed  atomic.Bool
	running sync.WaitGroup // all goroutines, including those of calls that hang
	done    chan struct{}  // closed when they have ended
}

// FeedOptions configure a Feed. Its functions may be nil. The Feed calls them one
// at a time, and they must not call the Feed.
type FeedOptions struct {
	// Report is called with nil when the bus is up, and with the reason when it
	// goes down or is not up after 5 s.
	Report func(err error)

	// OnMark is called with the mark of another instance if it is higher than
	// every mark that this Feed has set or received; see [Feed.SetMark]. It is not
	// called if the Bus has no secret, since anyone who can publish could then
	// send any mark.
	OnMark func(mark uint64)

	// TTL is the life of the Receiver's entries. If the Bus has no secret, anyone
	// could have sent the message that an instance leaves, so the instance counts
	// as silent for this time. Default 60 s.
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
	f.peers.known, f.peers.unsigned = map[origin]peer{}, len(f.key) == 0
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

// SetMark sends a number with every later message, such as a count that the store
// keeps, so that an instance that reads a lower count knows that the store has gone
// back. Set a lower mark only if the store has gone back, so that instances that
// start later do not receive the old one.
func (f *Feed) SetMark(mark uint64) {
	f.mark.Store(mark)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.seen = max(f.seen, mark)
}

// Up reports whether changes of other instances arrive now.
func (f *Feed) Up() bool { return f.up.Load() }

// Publish tells the other instances to invalidate these keys. It returns nil once
// the broker has accepted the message. After an error, other instances may serve
// the old entries until they expire; they mark all entries stale when the bus is up
// again.
func (f *Feed) Publish(ctx context.Context, keys ...Key) error {
	return f.publish(ctx, keys, nil)
}

// PublishGroup is like Publish for all keys of a group.
func (f *Feed) PublishGroup(ctx context.Context, group Key) error {
	return f.publish(ctx, nil, []Key{group})
}

// Close ends the connection and waits until the methods of the Bus have returned,
// or returns ctx's error. It may be called again. After Close the Receiver gets no
// calls, and Publish returns an error.
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

// heard is called for each message that arrives over a link.
func (f *Feed) heard(l *link, text string) {
	m, err := decode(text, f.key)
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.link != l:
		// The link was given up, or is not ready.
	case err != nil:
		f.missed(time.Now())
	case m.origin == f.origin:
		f.echo(m)
	default:
		f.apply(m)
	}
}

// echo handles an own message that came back. The time at which it was sent comes
// from this instance, since the message may be forged.
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

// review extends the trust, and limits the life of entries while a peer is silent.
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
		f.peers.stranger(time.Now()) // or a peer that comes and goes would have everything doubted each time
		f.to.Doubt()                 // after Trust, so that every later entry has the limit
	}
}

// missed marks all entries stale, because a change may be lost, and limits the life
// of new ones for ten seconds. Until then, it only prolongs the limit: anyone may
// repeat old messages, any number of times.
func (f *Feed) missed(now time.Time) {
	f.peers.stranger(now)
	if !f.silent {
		f.review()
	}
}

// apply uses a message only to invalidate, so that a forged, repeated or late one
// does no harm.
func (f *Feed) apply(m message) {
	now := time.Now()
	if f.peers.hear(m, now) {
		f.missed(now)
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

// ready makes l the current link, unless there is one already.
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
	f.to.Doubt() // messages from before are lost
	f.sender.renew()
	return true
}

// lost ends l, if it is the current link.
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

// tell calls Report, and recovers if it panics.
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
