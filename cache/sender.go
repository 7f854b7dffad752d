package cache

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/keyhatch/keyhatch/internal/guard"
)

const (
	publishTime = time.Second            // for a call of Bus.Publish
	farewell    = 300 * time.Millisecond // for the last one
)

// A sender sends one message at a time, so that they leave in the order of their
// counts. What comes meanwhile goes together into the next one.
type sender struct {
	wake chan struct{}
	slot chan struct{} // taken while Bus.Publish runs

	mu    sync.Mutex
	next  *batch     // waits to be sent; nil after the end
	beats []sentBeat // of the messages sent lately, the oldest first
	fresh bool       // nothing was sent since the connection was ready

	// Of the goroutine that sends.
	seq, change uint64
	changed     time.Time // when the last change had been sent
	turn        time.Time // when the next heartbeat is sent
	due         time.Time // when that must go to all
	failed      bool      // a change was not sent, and nothing since
	untold      batch     // names that were not sent
}

// A sentBeat tells when a message was sent.
type sentBeat struct {
	beat beat
	at   time.Time
}

// maxBeats bounds the beats that are remembered, which are of one message in
// each part of the time for which a beat extends the lease: however many messages are
// under way, some of those that come back are known.
const maxBeats = 32

func (s *sender) init() {
	s.wake, s.slot = make(chan struct{}, 1), make(chan struct{}, 1)
	s.next = newBatch()
}

// nudge has a message sent soon, be it only a heartbeat.
func (s *sender) nudge() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// when tells the time at which a message was sent.
func (s *sender) when(b beat) (time.Time, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, sent := range s.beats {
		if sent.beat == b {
			return sent.at, true
		}
	}
	return time.Time{}, false
}

// remember takes note of a beat that is sent now.
func (s *sender) remember(b beat) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now, n := time.Now(), len(s.beats)
	if n > 0 && now.Sub(s.beats[n-1].at) < silence/maxBeats {
		return
	}
	if n == maxBeats {
		s.beats = slices.Delete(s.beats, 0, 1)
	}
	s.beats = append(s.beats, sentBeat{b, now})
}

// renew is for a new connection: what was sent before does not count, and the
// next message, which goes out soon, does.
func (s *sender) renew() {
	s.mu.Lock()
	s.beats, s.fresh = nil, true
	s.mu.Unlock()
	s.nudge()
}

// isTurn reports whether a heartbeat must be sent now.
func (s *sender) isTurn(now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	fresh := s.fresh
	s.fresh = false
	return fresh || !now.Before(s.turn)
}

var errClosed = errors.New("cache: the group is closed")

// publishWait is how long a change waits for its message to be sent. If it cannot be
// sent by then, it is sent later.
const publishWait = 2 * time.Second

// publish tells the other instances to invalidate these keys and groups, and waits
// until the broker has accepted the message, but not beyond the end of ctx. After an
// error, other instances may serve the old entries until they expire; they mark all
// entries stale when the bus is up again.
func (g *Group) publish(ctx context.Context, keys, groups []Key) error {
	if g == nil {
		return nil
	}
	b, err := g.sender.add(keys, groups)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, publishWait)
	defer cancel()
	select {
	case <-b.done:
		return b.err
	case <-ctx.Done():
		return fmt.Errorf("cache: publish: %w", ctx.Err())
	}
}

// add has the names sent with the next message, whose batch it returns.
func (s *sender) add(keys, groups []Key) (*batch, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.next
	if b == nil {
		return nil, errClosed
	}
	b.keys, b.groups = append(b.keys, keys...), append(b.groups, groups...)
	s.nudge()
	return b, nil
}

// send sends what waits, and a heartbeat when nothing has been sent for a
// second. It tries sooner after a failure, since others mark nothing stale before it
// succeeds.
func (g *Group) send(ctx context.Context) {
	s := &g.sender
	for ctx.Err() == nil {
		g.sendBatch(ctx, s.swap(newBatch()))
		g.sendHeartbeat(ctx)
		g.sendUntold(ctx)
		select {
		case <-ctx.Done():
		case <-s.wake:
		case <-time.After(time.Until(s.turn)):
		}
	}
	last := s.swap(nil)
	last.err = errClosed
	close(last.done)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), farewell)
	defer cancel()
	_ = g.sendMessage(ctx, message{bye: true}, g.bus.Publish)
}

// sendHeartbeat sends a message that names nothing, if it is time: to all if they
// must know that this instance is there, and otherwise as an echo to itself. The
// one costs as much as there are instances, the other nothing.
func (g *Group) sendHeartbeat(ctx context.Context) {
	s, now := &g.sender, time.Now()
	if !s.isTurn(now) {
		return
	}
	s.turn = now.Add(heartbeat)
	g.mu.Lock()
	l, every := g.link, g.peers.every()
	g.mu.Unlock()
	if s.due.After(now.Add(every)) { // there are fewer instances now
		s.due = now.Add(every - guard.Jitter(every/4))
	}
	switch {
	case s.failed || !now.Before(s.due) || l != nil && l.echo == nil:
		due := s.due
		// A quarter at random, or those that begin together stay together.
		s.due = now.Add(every - guard.Jitter(1+(every-heartbeat)/4))
		if g.sendMessage(ctx, message{}, g.bus.Publish) != nil {
			s.due = due
		}
	case l != nil:
		_ = g.sendMessage(ctx, message{}, l.echo)
	}
}

func (s *sender) swap(next *batch) *batch {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.next
	s.next = next
	return b
}

func (g *Group) sendBatch(ctx context.Context, b *batch) {
	defer close(b.done)
	for b.names() > 0 {
		m := message{keys: b.keys[:min(len(b.keys), maxNames)]}
		m.groups = b.groups[:min(len(b.groups), maxNames-len(m.keys))]
		if b.err = g.sendMessage(ctx, m, g.bus.Publish); b.err != nil {
			g.sender.untold.add(b) // a bus that fails is not asked for each
			return
		}
		b.keys, b.groups = b.keys[len(m.keys):], b.groups[len(m.groups):]
	}
}

// sendUntold names what could not be named before, a message at a time, once the
// bus takes them again. By then others have marked everything stale; this is for
// those who have since found it in the shared cache, from which it could not be
// deleted either.
func (g *Group) sendUntold(ctx context.Context) {
	s := &g.sender
	if s.failed || s.untold.names() == 0 {
		return
	}
	g.sendBatch(ctx, s.untold.take(maxNames))
	if s.untold.names() > 0 {
		s.nudge()
	}
}

// sendMessage counts the message, whether or not it can be sent: others then miss
// it and mark everything stale. So do instances that receive
// their first message of the sender afterwards, since that message requires it.
func (g *Group) sendMessage(ctx context.Context, m message, send func(context.Context, string) error) error {
	s, now := &g.sender, time.Now()
	changes, wait := m.changes(), heartbeat
	m.origin, m.beat = g.origin, newBeat()
	s.remember(m.beat)
	s.seq++
	if changes {
		s.change++
		s.due = now.Add(heartbeat) // by then, who has lost this one must know
	}
	m.seq, m.ago, m.next = s.seq, now.Sub(s.changed), max(0, s.due.Sub(now))
	m.change, m.all = s.change, s.failed
	g.mu.Lock()
	m.size, m.mark = uint32(g.peers.size), g.ownMark()
	g.mu.Unlock()
	err := g.hand(ctx, m.encode(g.key), send)
	if changes {
		s.changed = time.Now()
	}
	// A heartbeat that was not sent is nothing lost.
	if s.failed = err != nil && (s.failed || changes); s.failed {
		wait = heartbeat / 4
	}
	s.turn = time.Now().Add(wait)
	return err
}

// hand gives the bus a message. It returns in time even if the bus hangs or panics.
func (g *Group) hand(ctx context.Context, text string, send func(context.Context, string) error) error {
	ctx, cancel := context.WithTimeout(ctx, publishTime)
	defer cancel()
	select {
	case g.sender.slot <- struct{}{}:
	case <-ctx.Done():
		return errors.New("cache: publish: an earlier call of Publish has not returned")
	}
	g.running.Add(1)
	_, err := guard.Call(ctx, publishTime, func() {
		<-g.sender.slot
		g.running.Done()
	}, func(ctx context.Context) (struct{}, error) { return struct{}{}, guard.Classify(send(ctx, text)) })
	if err != nil {
		return fmt.Errorf("cache: publish: %w", err)
	}
	return nil
}

// A batch is what goes out together.
type batch struct {
	keys, groups []Key
	done         chan struct{} // closed when err says what became of it
	err          error
}

func newBatch() *batch { return &batch{done: make(chan struct{})} }

// maxUntold bounds the names that are kept to be sent again. Others then mark
// everything stale, but may find in the shared cache what was to be invalidated.
const maxUntold = 4096

func (b *batch) names() int { return len(b.keys) + len(b.groups) }

// add takes over what another batch names, unless that would be too many.
func (b *batch) add(other *batch) {
	if b.names()+other.names() <= maxUntold {
		b.keys, b.groups = append(b.keys, other.keys...), append(b.groups, other.groups...)
	}
}

// take returns a new batch of some of the names, which are b's no more.
func (b *batch) take(most int) *batch {
	some := newBatch()
	some.keys, b.keys = cut(b.keys, most)
	some.groups, b.groups = cut(b.groups, most-len(some.keys))
	return some
}

func cut(names []Key, most int) (some, rest []Key) {
	n := min(len(names), most)
	return names[:n:n], names[n:]
}
