package cachetest_test

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/keyhatch/keyhatch/cache"
)

// duration is how long some calls take. The clock of a bubble stands still while a test
// repeats a call that takes no time.
const duration = 50 * time.Microsecond

// A fakeBus is a Bus within the process, with the given fault.
type fakeBus struct {
	fault      string
	publishing atomic.Bool // used by the fault "loses among many"

	mu        sync.Mutex
	receivers []*queue
	published int
}

// A queue holds the messages that one receiver has not delivered yet.
type queue struct {
	messages []string
	more     chan struct{} // has a buffer of one
	late     func()        // called after the first delivery, unless nil

	overlapping sync.WaitGroup // concurrent deliveries
}

func (q *queue) put(message string) {
	q.messages = append(q.messages, message)
	select {
	case q.more <- struct{}{}:
	default:
	}
}

func newFakeBus(fault string) cache.Bus { return &fakeBus{fault: fault} }

func (b *fakeBus) Publish(ctx context.Context, message string) error {
	if b.fault != "publishes forever" && ctx.Err() != nil {
		return ctx.Err()
	}
	if b.fault == "cuts" && len(message) > 1000 {
		message = message[:1000]
	}
	if b.fault == "loses among many" {
		if !b.publishing.CompareAndSwap(false, true) {
			return nil
		}
		defer b.publishing.Store(false)
		time.Sleep(time.Microsecond) // let other publishers arrive
	}
	if b.put(message)%20 == 0 {
		time.Sleep(duration)
	}
	return nil
}

// put queues a message for the receivers, and returns how many messages there were.
func (b *fakeBus) put(message string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.published++
	for i, q := range b.receivers {
		switch {
		case b.fault == "delivers to one" && i > 0:
		case b.fault == "loses" && b.published%100 == 0:
		case b.fault == "swaps" && b.published%50 == 0 && len(q.messages) > 0:
			last := q.messages[len(q.messages)-1]
			q.messages[len(q.messages)-1] = message
			q.put(last)
		case b.fault == "repeats" && b.published%50 == 0:
			q.put(message)
			q.put(message)
		case b.fault == "drops queued messages":
			q.messages = nil
			q.put(message)
		default:
			q.put(message)
		}
	}
	return b.published
}

func (b *fakeBus) Receive(ctx context.Context, ready func(echo func(context.Context, string) error), deliver func(string)) error {
	if b.fault == "receives forever" {
		ctx = context.WithoutCancel(ctx)
	}
	if ctx.Err() != nil && b.fault != "nil error" {
		return ctx.Err()
	}
	q := &queue{more: make(chan struct{}, 1)}
	echo := func(_ context.Context, message string) error { return b.echo(q, message) }
	switch b.fault {
	case "ready too soon":
		ready(echo)
		b.miss(ctx, 10)
	case "ready twice":
		ready(echo)
	}
	b.mu.Lock()
	b.receivers = append(b.receivers, q)
	b.mu.Unlock()
	defer q.overlapping.Wait()
	defer b.leave(q)
	if b.fault == "ready too late" {
		q.late = func() { ready(echo) }
	} else if b.fault != "ready too soon" && b.fault != "never ready" {
		ready(echo)
	}
	return b.receive(ctx, q, deliver)
}

func (b *fakeBus) echo(q *queue, message string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch b.fault {
	case "echoes to all":
		for _, other := range b.receivers {
			other.put(message)
		}
	case "echoes before earlier messages":
		q.messages = append([]string{message}, q.messages...)
		q.put("after it")
	default:
		q.put(message)
	}
	return nil
}

func (b *fakeBus) receive(ctx context.Context, q *queue, deliver func(string)) error {
	var quiet <-chan time.Time
	if b.fault == "ends when quiet" {
		quiet = time.After(2 * time.Second)
	}
	for {
		select {
		case <-ctx.Done():
			if b.fault == "nil error" {
				return nil
			}
			return ctx.Err()
		case <-quiet:
			return context.DeadlineExceeded
		case <-q.more:
			b.deliver(q, deliver)
		}
	}
}

func (b *fakeBus) deliver(q *queue, deliver func(string)) {
	b.mu.Lock()
	messages := q.messages
	q.messages = nil
	b.mu.Unlock()
	for _, m := range messages {
		if b.fault == "overlaps" {
			q.overlapping.Go(func() { deliver(m) })
		} else {
			deliver(m)
		}
	}
	if q.late != nil && len(messages) > 0 {
		q.late()
		q.late = nil
	}
}

// miss waits until n more messages have been published.
func (b *fakeBus) miss(ctx context.Context, n int) {
	published := func() int {
		b.mu.Lock()
		defer b.mu.Unlock()
		return b.published
	}
	for end := published() + n; published() < end && ctx.Err() == nil; {
		time.Sleep(time.Millisecond)
	}
}

func (b *fakeBus) leave(q *queue) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := range b.receivers {
		if b.receivers[i] == q || b.fault == "removes all receivers" {
			b.receivers = append(b.receivers[:i:i], b.receivers[i+1:]...)
			if b.fault == "removes all receivers" {
				b.receivers = nil
			}
			return
		}
	}
}
