package cache

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
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

	// Of the goroutine that sends.
	change uint64
	failed bool  // a change was not sent, and nothing since
	untold batch // names that were not sent
}

// A sentBeat tells when a message was sent.
type sentBeat struct {
	beat beat
	at   time.Time
}

// maxBeats bounds the beats that are remembered, which are of one message in
// each part of the time for which a beat gives trust: however many messages are
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
	s.beats = nil
	s.mu.Unlock()
	s.nudge()
}

var errClosed = errors.New("cache: the feed is closed")

// publish waits for the message that carries the names.
func (f *Feed) publish(ctx context.Context, keys, groups []Key) error {
	s := &f.sender
	s.mu.Lock()
	b := s.next
	if b == nil {
		s.mu.Unlock()
		return errClosed
	}
	b.keys, b.groups = append(b.keys, keys...), append(b.groups, groups...)
	s.mu.Unlock()
	s.nudge()
	select {
	case <-b.done:
		return b.err
	case <-ctx.Done():
		return fmt.Errorf("cache: publish: %w", ctx.Err())
	}
}

// send sends what waits, and a heartbeat when nothing has for a second. It tries
// sooner after a failure, since others doubt nothing before it succeeds.
func (f *Feed) send(ctx context.Context) {
	for ctx.Err() == nil {
		f.sendBatch(ctx, f.sender.swap(newBatch()))
		f.sendUntold(ctx)
		wait := heartbeat
		if f.sender.failed || f.sender.untold.names() > 0 {
			wait = heartbeat / 4
		}
		select {
		case <-ctx.Done():
		case <-f.sender.wake:
		case <-time.After(wait):
		}
	}
	last := f.sender.swap(nil)
	last.err = errClosed
	close(last.done)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), farewell)
	defer cancel()
	_ = f.sendMessage(ctx, message{origin: f.origin, bye: true})
}

func (s *sender) swap(next *batch) *batch {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.next
	s.next = next
	return b
}

func (f *Feed) sendBatch(ctx context.Context, b *batch) {
	defer close(b.done)
	for {
		m := message{origin: f.origin, keys: b.keys[:min(len(b.keys), maxNames)]}
		m.groups = b.groups[:min(len(b.groups), maxNames-len(m.keys))]
		if b.err = f.sendMessage(ctx, m); b.err != nil {
			f.sender.untold.add(b) // a bus that fails is not asked for each
			return
		}
		b.keys, b.groups = b.keys[len(m.keys):], b.groups[len(m.groups):]
		if b.names() == 0 {
			return
		}
	}
}

// sendUntold names what could not be named before, a message at a time, once the
// bus takes them again. By then others have doubted what they had; this is for
// those who have since found it in a second level, from which it could not be
// deleted either.
func (f *Feed) sendUntold(ctx context.Context) {
	s := &f.sender
	if s.failed || s.untold.names() == 0 {
		return
	}
	f.sendBatch(ctx, s.untold.take(maxNames))
	if s.untold.names() > 0 {
		s.nudge()
	}
}

// sendMessage counts the message, whatever becomes of it: others then miss it
// and doubt everything. So do those who hear of the sender for the first time
// afterwards, as the next message tells them to.
func (f *Feed) sendMessage(ctx context.Context, m message) error {
	s := &f.sender
	m.beat = newBeat()
	s.remember(m.beat)
	if m.changes() {
		s.change++
	}
	m.change, m.all = s.change, s.failed
	err := f.hand(ctx, m.encode())
	// A heartbeat that was not sent is nothing lost.
	s.failed = err != nil && (s.failed || m.changes())
	return err
}

// hand gives the bus a message, whatever the bus does with it.
func (f *Feed) hand(ctx context.Context, text string) error {
	ctx, cancel := context.WithTimeout(ctx, publishTime)
	defer cancel()
	select {
	case f.sender.slot <- struct{}{}:
	case <-ctx.Done():
		return errors.New("cache: publish: an earlier call of Publish has not returned")
	}
	done := make(chan error, 1)
	f.running.Go(func() {
		err := errors.New("Publish has exited")
		defer func() {
			if p := recover(); p != nil {
				err = fmt.Errorf("Publish has panicked: %v", p)
			}
			<-f.sender.slot
			done <- err
		}()
		e := f.bus.Publish(ctx, text)
		_ = errors.Is(e, errNobody) // an error that panics when it is looked into does so here
		err = e
	})
	select {
	case err := <-done:
		if err != nil {
			return fmt.Errorf("cache: publish: %w", err)
		}
		return nil
	case <-ctx.Done():
		return fmt.Errorf("cache: publish: %w", ctx.Err())
	}
}
