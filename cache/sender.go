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
	publishTime = time.Second            // bounds a call to Bus.Publish
	leaveTime   = 300 * time.Millisecond // bounds the call for the last message
)

// A sender sends one message at a time, in the order of their numbers. Changes that are
// made meanwhile are sent together in the next message.
type sender struct {
	wake chan struct{}
	slot chan struct{} // taken while Bus.Publish runs

	mu    sync.Mutex
	next  *batch        // the batch to send next; nil after the last message
	sent  []sentMessage // recent messages, the oldest first
	fresh bool          // nothing was sent since the connection was ready

	// Only the goroutine that sends uses these.
	seq, change uint64
	changed     time.Time // time at which the last change was sent
	heartbeatAt time.Time // time of the next heartbeat
	due         time.Time // time of the next heartbeat to all instances
	failed      bool      // a change could not be sent, and nothing was sent since
	unsent      batch     // keys and tags of changes that could not be sent
}

// A sentMessage holds the time at which a message was sent.
type sentMessage struct {
	nonce nonce
	at    time.Time
}

// maxSent is the number of messages that are remembered: at most one in each part of the
// time for which an echo extends the lease. So some of the echoes are known, regardless of
// the number of messages in flight.
const maxSent = 32

func (s *sender) init() {
	s.wake, s.slot = make(chan struct{}, 1), make(chan struct{}, 1)
	s.next = newBatch()
}

// nudge wakes the goroutine that sends. It then sends a message soon, even if that is only
// a heartbeat.
func (s *sender) nudge() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// sentAt returns the time at which a message was sent.
func (s *sender) sentAt(n nonce) (time.Time, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, sent := range s.sent {
		if sent.nonce == n {
			return sent.at, true
		}
	}
	return time.Time{}, false
}

// remember records a message that is sent now.
func (s *sender) remember(id nonce) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now, n := time.Now(), len(s.sent)
	if n > 0 && now.Sub(s.sent[n-1].at) < silence/maxSent {
		return
	}
	if n == maxSent {
		s.sent = slices.Delete(s.sent, 0, 1)
	}
	s.sent = append(s.sent, sentMessage{id, now})
}

// renew must be called on a new connection. It drops the messages that were sent before,
// and sends a heartbeat soon.
func (s *sender) renew() {
	s.mu.Lock()
	s.sent, s.fresh = nil, true
	s.mu.Unlock()
	s.nudge()
}

// isHeartbeatDue reports whether a heartbeat must be sent now.
func (s *sender) isHeartbeatDue(now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	fresh := s.fresh
	s.fresh = false
	return fresh || !now.Before(s.heartbeatAt)
}

var errClosed = errors.New("cache: the group is closed")

// publishWait bounds the wait of a change for its message to be sent. After that, the
// message is sent later.
const publishWait = 2 * time.Second

// publish tells the other instances to invalidate these keys and tags. It waits until
// the broker has accepted the message or ctx ends. After an error, other instances may
// serve the old entries until these expire. The instances mark all entries stale when the
// bus is up again.
func (g *Group) publish(ctx context.Context, keys, tags []Key) error {
	if g == nil {
		return nil
	}
	b, err := g.sender.add(keys, tags)
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

// add adds keys and tags to the next batch, and returns the batch.
func (s *sender) add(keys, tags []Key) (*batch, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.next
	if b == nil {
		return nil, errClosed
	}
	b.keys, b.tags = append(b.keys, keys...), append(b.tags, tags...)
	s.nudge()
	return b, nil
}

// send sends batches, and a heartbeat if nothing has been sent for a second. After a
// failure it retries sooner, since other instances mark their entries stale only when a
// later message arrives.
func (g *Group) send(ctx context.Context) {
	s := &g.sender
	for ctx.Err() == nil {
		g.sendBatch(ctx, s.swap(newBatch()))
		g.sendHeartbeat(ctx)
		g.sendUnsent(ctx)
		select {
		case <-ctx.Done():
		case <-s.wake:
		case <-time.After(time.Until(s.heartbeatAt)):
		}
	}
	last := s.swap(nil)
	last.err = errClosed
	close(last.done)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaveTime)
	defer cancel()
	_ = g.sendMessage(ctx, message{leaving: true}, g.bus.Publish)
}

// sendHeartbeat sends a heartbeat if it is due: to all instances if the heartbeat for all
// is due, and otherwise as an echo to this one. The broker delivers a heartbeat for all to every
// instance, and an echo to one.
func (g *Group) sendHeartbeat(ctx context.Context) {
	s, now := &g.sender, time.Now()
	if !s.isHeartbeatDue(now) {
		return
	}
	s.heartbeatAt = now.Add(heartbeat)
	g.mu.Lock()
	l, every := g.link, g.peers.interval()
	g.mu.Unlock()
	if s.due.After(now.Add(every)) { // the number of instances has decreased
		s.due = now.Add(every - guard.Jitter(every/4))
	}
	switch {
	case s.failed || !now.Before(s.due) || l != nil && l.echo == nil:
		due := s.due
		// A random part, so that instances that started together do not stay in step.
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
		m.tags = b.tags[:min(len(b.tags), maxNames-len(m.keys))]
		if b.err = g.sendMessage(ctx, m, g.bus.Publish); b.err != nil {
			g.sender.unsent.add(b) // do not try the rest: the bus has failed
			return
		}
		b.keys, b.tags = b.keys[len(m.keys):], b.tags[len(m.tags):]
	}
}

// sendUnsent sends changes that could not be sent before, one message at a time, after the
// bus works again. By then, other instances have marked all entries stale. But they may
// have read an old entry again from the shared cache, if it could not be deleted there.
func (g *Group) sendUnsent(ctx context.Context) {
	s := &g.sender
	if s.failed || s.unsent.names() == 0 {
		return
	}
	g.sendBatch(ctx, s.unsent.take(maxNames))
	if s.unsent.names() > 0 {
		s.nudge()
	}
}

// sendMessage numbers the message and sends it. If it cannot be sent, its number is
// missing: other instances notice that and mark all entries stale. But an instance that has not
// received any message of this sender before cannot notice the gap. So after a lost change, every
// message sets m.all until one has been sent.
func (g *Group) sendMessage(ctx context.Context, m message, send func(context.Context, string) error) error {
	s, now := &g.sender, time.Now()
	changes, wait := m.changes(), heartbeat
	m.origin, m.nonce = g.origin, newNonce()
	s.remember(m.nonce)
	s.seq++
	if changes {
		s.change++
		s.due = now.Add(heartbeat) // an instance that has missed this message must notice by then
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
	// Only a lost change matters, not a lost heartbeat.
	if s.failed = err != nil && (s.failed || changes); s.failed {
		wait = heartbeat / 4
	}
	s.heartbeatAt = time.Now().Add(wait)
	return err
}

// hand passes a message to the bus. It returns within publishTime even if the bus hangs or
// panics.
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

// A batch holds the keys and tags that are sent together.
type batch struct {
	keys, tags []Key
	done       chan struct{} // closed when the batch was sent or has failed, and err is set
	err        error
}

func newBatch() *batch { return &batch{done: make(chan struct{})} }

// maxUnsent bounds the keys and tags that are kept to be sent again. If a change has further keys
// or tags, other instances mark all entries stale, but may read old entries again from the shared
// cache.
const maxUnsent = 4096

func (b *batch) names() int { return len(b.keys) + len(b.tags) }

// add adds the keys and tags of another batch, unless that would be too many.
func (b *batch) add(other *batch) {
	if b.names()+other.names() <= maxUnsent {
		b.keys, b.tags = append(b.keys, other.keys...), append(b.tags, other.tags...)
	}
}

// take removes up to n keys and tags from b, and returns them as a new batch.
func (b *batch) take(n int) *batch {
	some := newBatch()
	some.keys, b.keys = cut(b.keys, n)
	some.tags, b.tags = cut(b.tags, n-len(some.keys))
	return some
}

func cut(names []Key, most int) (some, rest []Key) {
	n := min(len(names), most)
	return names[:n:n], names[n:]
}
