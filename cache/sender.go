package cache

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// publishTime bounds a call of Bus.Publish.
const publishTime = time.Second

// A sender sends one message at a time, so that they leave in the order of their
// counts. What comes meanwhile goes together into the next one.
type sender struct {
	wake chan struct{}
	slot chan struct{} // taken while Bus.Publish runs

	mu     sync.Mutex
	next   *batch // waits to be sent; nil after the end
	beat   uint64
	times  [8]time.Time // when the last messages were sent, by beat
	change uint64
	failed bool // the last time
}

// A batch is what goes out together.
type batch struct {
	keys, groups []Key
	done         chan struct{} // closed when err says what became of it
	err          error
}

func newBatch() *batch { return &batch{done: make(chan struct{})} }

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
func (s *sender) when(beat uint64) (time.Time, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if beat == 0 || beat > s.beat || s.beat-beat >= uint64(len(s.times)) {
		return time.Time{}, false
	}
	return s.times[beat%uint64(len(s.times))], true
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

// send sends what waits, and a heartbeat when nothing has for a second.
func (f *Feed) send(ctx context.Context) {
	tick := time.NewTicker(heartbeat)
	defer tick.Stop()
	for ctx.Err() == nil {
		f.sendBatch(ctx, f.sender.swap(newBatch()))
		select {
		case <-ctx.Done():
		case <-f.sender.wake:
		case <-tick.C:
		}
	}
	last := f.sender.swap(nil)
	last.err = errClosed
	close(last.done)
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
		b.keys, b.groups = b.keys[len(m.keys):], b.groups[len(m.groups):]
		b.err = errors.Join(b.err, f.sendMessage(ctx, m))
		if len(b.keys)+len(b.groups) == 0 {
			return
		}
	}
}

// sendMessage counts the message, whatever becomes of it: others then miss it
// and doubt everything. So do those who hear of the sender for the first time
// afterwards, as the next message tells them to.
func (f *Feed) sendMessage(ctx context.Context, m message) error {
	s := &f.sender
	s.mu.Lock()
	s.beat++
	s.times[s.beat%uint64(len(s.times))] = time.Now()
	if m.changes() {
		s.change++
	}
	m.beat, m.change, m.all = s.beat, s.change, s.failed
	s.mu.Unlock()
	err := f.hand(ctx, m.encode())
	s.mu.Lock()
	// A heartbeat that was not sent is nothing lost.
	s.failed = err != nil && (s.failed || m.changes())
	s.mu.Unlock()
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
	go func() {
		err := errors.New("Publish has exited")
		defer func() {
			if p := recover(); p != nil {
				err = fmt.Errorf("Publish has panicked: %v", p)
			}
			<-f.sender.slot
			done <- err
		}()
		err = f.bus.Publish(ctx, text)
	}()
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
