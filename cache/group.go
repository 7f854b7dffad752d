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
	silence   = 3 * time.Second  // time without an echo after which the bus is down
	aloneTTL  = 10 * time.Second // maximum lifetime of an entry while the bus is down
	slowStart = 5 * time.Second  // time after which a bus that has not come up is reported
)

// A Group joins the caches of one instance to the caches of the other instances over a [Bus]: an
// entry that one instance changes with [Cache.Change] is invalidated in all.
//
// A Group relies on the bus only while it receives its own echoes. It sends one every
// second. Since a bus keeps the order of messages, all messages that were sent
// before the echo have arrived when the echo does. The caches may serve entries for
// three seconds from the time at which the echo was sent. If no echo arrives for
// three seconds, the bus is down, and entries expire after ten seconds until it
// is up again. The Group marks all entries stale when the bus goes down and on a new
// connection.
//
// An instance sends a heartbeat to all others one second after each change, and
// otherwise every second or every n²/2500 seconds with n instances, whichever is
// longer. Each message announces the interval. An instance whose heartbeat is two
// seconds late, and that has not left, is silent. Then the Group marks all entries
// stale and limits new ones to ten seconds, until the instance sends again or five
// minutes have passed. It does the same for ten seconds after a message that is
// not authentic, after a message whose number shows that an earlier one is lost, and
// after a message of an instance that the Group cannot track because there are too
// many instances. So forged or repeated messages mark all entries stale at most once
// in ten seconds.
//
// If the Bus has no secret, the Group ignores longer intervals than those that follow
// from the number of instances that it knows itself.
//
// Its methods may be called from many goroutines. A nil Group stands for a single
// instance without a bus.
type Group struct {
	bus  Bus
	opts GroupOptions

	origin origin
	key    []byte // the key of the messages' MACs; nil without a secret
	sender sender

	links     atomic.Int64  // links that have not ended
	linkReady chan struct{} // signals that one of them is ready

	mu      sync.Mutex
	members []member
	up      atomic.Bool // written with mu held
	link    *link       // the current connection, or nil
	peers   peers
	silent  atomic.Bool // a peer is silent; written with mu held
	seen    uint64      // highest mark of this instance and all others
	ends    time.Time   // end of the lease; on a new link, deadline of the first echo
	waits   time.Time   // time at which the Group was created; zero after the first report

	stop    context.CancelFunc
	closed  atomic.Bool
	running sync.WaitGroup // all goroutines, including those of calls that hang
	done    chan struct{}  // closed when they have ended
}

// A member is a [Cache] of any type. The Group makes one call at a time and holds a
// lock meanwhile.
type member interface {
	joined(g *Group)

	// invalidate invalidates the entries of these keys and tags.
	invalidate(keys, tags []Key)

	// MarkStale must be called if changes may have been missed.
	MarkStale()

	// extendLease promises that every change arrives until the given time. Entries
	// loaded from now on expire after ttl, unless that is 0.
	extendLease(until time.Time, ttl time.Duration)

	// disconnect must be called if changes do not arrive until the lease is extended.
	// Entries loaded from now on expire after ttl.
	disconnect(ttl time.Duration)
}

// GroupOptions configure a Group. Its functions may be nil. The Group calls them one
// at a time, and they must return soon and not call the Group.
type GroupOptions struct {
	// Report is called with nil when the bus is up, and with the reason when it
	// goes down or is not up after 5 s.
	Report func(err error)

	// OnChange is called with keys that another instance has changed, before the
	// caches invalidate them.
	OnChange func(keys []Key)

	// OnMissed is called when changes of other instances may have been missed,
	// before the caches mark all entries stale.
	OnMissed func()

	// Mark returns a number that is sent with each message, such as a count that the store
	// keeps. An instance that reads a lower count from the store then knows that the store
	// was rolled back. Mark must never return a lower number than before, except after a
	// rollback of the store, so that instances that start later do not receive the old
	// number.
	Mark func() uint64

	// OnMark is called with the mark of another instance if it is higher than
	// every mark that this Group has sent or received. It is not called if the Bus
	// has no secret, since anyone who can publish could then send any mark.
	OnMark func(mark uint64)

	// TTL is the lifetime of the caches' entries. If the Bus has no secret, anyone could
	// have sent the message that an instance leaves, so the instance counts as silent for
	// this time. Default 60 s.
	TTL time.Duration
}

// NewGroup connects in the background. A nil GroupOptions works. Close the Group to
// end its goroutines.
func NewGroup(bus Bus, opts *GroupOptions) *Group {
	ctx, stop := context.WithCancel(context.Background())
	g := &Group{bus: bus, waits: time.Now(), stop: stop, done: make(chan struct{}), linkReady: make(chan struct{}, 1)}
	if opts != nil {
		g.opts = *opts
	}
	if g.opts.TTL <= 0 {
		g.opts.TTL = time.Minute
	}
	if b, ok := bus.(interface{ MACKey() []byte }); ok {
		g.key = b.MACKey()
	}
	rand.Read(g.origin[:])
	g.peers.known, g.peers.unsigned = map[origin]peer{}, len(g.key) == 0
	g.sender.init()
	g.running.Go(func() { g.connect(ctx) })
	g.running.Go(func() { g.send(ctx) })
	go func() {
		g.running.Wait()
		close(g.done)
	}()
	return g
}

// Join adds a [Cache] of values of any type, which must not be in use yet. No other type
// can be a member.
func (g *Group) Join(c member) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.members = append(g.members, c)
	c.joined(g)
	c.disconnect(aloneTTL) // until the next echo
}

// Healthy reports whether changes of other instances arrive now.
func (g *Group) Healthy() bool { return g != nil && g.up.Load() }

// Complete reports whether the changes of all known instances arrive now: the bus is up, and
// no instance is silent.
func (g *Group) Complete() bool { return g.Healthy() && !g.silent.Load() }

// Close ends the connection and waits until the methods of the Bus have returned,
// or returns ctx's error. It may be called again. After Close, [Cache.Change] cannot notify other
// instances.
func (g *Group) Close(ctx context.Context) error {
	if g == nil {
		return nil
	}
	g.closed.Store(true)
	g.stop()
	select {
	case <-g.done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("cache: close the group: %w", ctx.Err())
	}
}

// receive is called for each message that arrives over a link.
func (g *Group) receive(l *link, text string) {
	m, err := decode(text, g.key)
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case g.link != l:
		// The link has ended, or is not ready yet.
	case err != nil:
		g.missed(time.Now())
	case m.origin == g.origin:
		g.echo(m)
	default:
		g.apply(m)
	}
}

// echo handles a message of this instance that the bus has returned. echo does not rely
// on a time in the message, which may be forged: the sender of this instance knows when
// the message was sent.
func (g *Group) echo(m message) {
	sent, ok := g.sender.sentAt(m.nonce)
	until := sent.Add(silence)
	if !ok || until.Before(g.ends) || !until.After(time.Now()) {
		return
	}
	g.ends = until
	if !g.up.Swap(true) {
		g.report(nil)
	}
	g.review()
}

// review extends the lease, and limits the lifetime of entries while a peer is silent.
func (g *Group) review() {
	if !g.up.Load() {
		return
	}
	silent, ttl := g.peers.review(time.Now()), time.Duration(0)
	before := g.silent.Swap(silent)
	if silent {
		ttl = aloneTTL
	}
	for _, c := range g.members {
		c.extendLease(g.ends, ttl)
	}
	if silent && !before {
		g.peers.limit(time.Now()) // so that an unstable peer does not mark all entries stale each time
		g.markStale()             // comes after extendLease, so that every later entry has the limit
	}
}

// missed marks all entries stale, because a change may be lost, and limits the lifetime of
// new ones for ten seconds. If it is called again within that time, it only prolongs the
// limit, since an attacker may repeat old messages any number of times.
func (g *Group) missed(now time.Time) {
	g.peers.limit(now)
	if !g.silent.Load() {
		g.review()
	} else if g.opts.OnMissed != nil {
		g.opts.OnMissed() // the entries expire early anyway
	}
}

// apply uses a message only to invalidate, so that a forged, repeated or late one
// does no harm.
func (g *Group) apply(m message) {
	now := time.Now()
	if g.peers.receive(m, now) {
		g.missed(now)
	}
	if m.leaving && len(g.key) == 0 {
		g.peers.countAsSilent(m.origin, now, g.opts.TTL)
	}
	if len(m.keys) > 0 && g.opts.OnChange != nil {
		g.opts.OnChange(m.keys)
	}
	for _, c := range g.members {
		c.invalidate(m.keys, m.tags)
	}
	g.seeMark(m.mark)
}

// markStale must be called if changes may have been missed.
func (g *Group) markStale() {
	if g.opts.OnMissed != nil {
		g.opts.OnMissed()
	}
	for _, c := range g.members {
		c.MarkStale()
	}
}

// ready makes l the current link, unless there is one already.
func (g *Group) ready(l *link, echo func(context.Context, string) error) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.link != nil {
		return false
	}
	l.echo = echo
	g.link = l
	g.silent.Store(false)
	g.peers.reconnect(time.Now())
	g.ends = time.Now().Add(silence)
	g.markStale() // messages from before are lost
	g.sender.renew()
	return true
}

// lost ends l, if it is the current link.
func (g *Group) lost(l *link, why error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.link == l {
		g.link = nil
		if g.up.Swap(false) {
			for _, c := range g.members {
				c.disconnect(aloneTTL)
			}
			g.report(why)
		}
	}
	if !g.up.Load() && !g.waits.IsZero() && time.Since(g.waits) >= slowStart {
		g.report(why) // it has never been up
	}
}

// report calls Report, and recovers if it panics.
func (g *Group) report(why error) {
	g.waits = time.Time{}
	if g.opts.Report == nil || g.closed.Load() {
		return
	}
	defer func() { _ = recover() }()
	g.opts.Report(why)
}

// ownMark returns the mark to send, and records it as seen.
func (g *Group) ownMark() (mark uint64) {
	if g.opts.Mark != nil {
		mark = g.opts.Mark()
	}
	g.seen = max(g.seen, mark)
	return mark
}

func (g *Group) seeMark(mark uint64) {
	g.ownMark()
	if g.opts.OnMark == nil || len(g.key) == 0 || mark <= g.seen {
		return
	}
	g.seen = mark
	defer func() { _ = recover() }()
	g.opts.OnMark(mark)
}

var errSilent = errors.New("cache: the bus is silent")
