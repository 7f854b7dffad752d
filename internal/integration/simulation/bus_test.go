package simulation_test

import (
	"context"
	"slices"
	"sync"
	"time"
)

// A hub is the broker.
type hub struct {
	w *world

	mu    sync.Mutex
	lines []*line
}

// A line is a connection on which an instance receives messages.
type line struct {
	i        *instance
	messages chan timed
}

// timed is a message and the time of its arrival.
type timed struct {
	text string
	at   time.Time
}

// A port is one instance's access to the broker.
type port struct {
	w *world
	i *instance
}

func (p *port) Publish(ctx context.Context, message string) error {
	p.w.note(p.i, "publishes ", message)
	return p.send(ctx, message, func(*line) bool { return true })
}

// send sends a message to the chosen lines. It takes time. Otherwise a heartbeat would be due
// three seconds after the message, at the instant at which the lease ends.
func (p *port) send(ctx context.Context, message string, to func(*line) bool) error {
	if p.i.isDead() || p.w.broken(p.i, busCut) {
		return p.w.fail(ctx, "send", p.i.n)
	}
	if err := p.w.pause(ctx, time.Millisecond, "send", p.i.n, p.w.now()); err != nil || p.w.broken(p.i, busBlackout) {
		return err
	}
	h := p.w.hub
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, l := range h.lines {
		if to(l) {
			h.deliver(p.i, l, message)
		}
	}
	return nil
}

// deliver sends a message to one line, once, never or several times. The caller holds the
// hub's lock.
func (h *hub) deliver(from *instance, l *line, message string) {
	dice := h.w.chance("message", h.w.now(), from.n, l.i.n)
	at := time.Now().Add(h.w.unique(4*time.Millisecond + time.Duration(dice%uint64(time.Millisecond))))
	switch {
	case h.w.broken(l.i, busBlackout), h.w.broken(l.i, busLoss) && dice%3 == 0:
		return
	case h.w.broken(l.i, busDamage) && dice%4 == 0 && len(message) > 0:
		b := []byte(message)
		b[dice/4%uint64(len(b))] ^= 1
		message = string(b)
	case h.w.broken(l.i, busReorder) && dice%2 == 0:
		h.later(l, message, time.Duration(dice%uint64(4*time.Second)))
		return
	case h.w.broken(l.i, busRepeat):
		l.messages <- timed{message, at}
		h.later(l, message, time.Duration(dice%uint64(20*time.Second)))
	}
	l.messages <- timed{message, at}
}

func (h *hub) later(l *line, message string, d time.Duration) {
	time.AfterFunc(h.w.unique(d), func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		if slices.Contains(h.lines, l) {
			l.messages <- timed{message, time.Now()}
		}
	})
}

// A keyedPort is a port with a MAC key, so that instances detect forged messages.
type keyedPort struct{ port }

func (*keyedPort) MACKey() []byte { return []byte("0123456789abcdef0123456789abcdef") }

func (p *port) Receive(ctx context.Context, ready func(echo func(context.Context, string) error), deliver func(string)) error {
	p.w.note(p.i, "connects")
	defer p.w.note(p.i, "disconnected")
	if p.i.isDead() || p.w.broken(p.i, busCut) {
		return errFault
	}
	if err := p.w.pause(ctx, 5*time.Millisecond, "connect", p.i.n, p.w.now()); err != nil {
		return err
	}
	cut := time.NewTimer(p.w.unique(p.w.next(p.i, busCut)))
	defer cut.Stop()
	h, l := p.w.hub, &line{i: p.i, messages: make(chan timed, 1<<10)}
	h.mu.Lock()
	h.lines = append(h.lines, l)
	h.mu.Unlock()
	defer func() {
		// The broker notices the lost connection later.
		_ = p.w.pause(context.Background(), time.Millisecond, "disconnect", p.i.n, p.w.now())
		h.mu.Lock()
		defer h.mu.Unlock()
		h.lines = slices.DeleteFunc(h.lines, func(other *line) bool { return other == l })
	}()
	ready(func(ctx context.Context, message string) error {
		p.w.note(p.i, "echoes ", message)
		return p.send(ctx, message, func(other *line) bool { return other == l })
	})
	messages, arrival := l.messages, (<-chan time.Time)(nil)
	var next timed
	for {
		// If two cases were ready at once, select would choose at random. So each case becomes
		// ready at a different instant, and the next message is taken only after the previous
		// one has arrived.
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-p.i.dead:
			return errFault
		case <-cut.C:
			return errFault
		case next = <-messages:
			messages, arrival = nil, time.After(time.Until(next.at))
		case <-arrival:
			messages, arrival = l.messages, nil
			p.w.note(p.i, "receives ", next.text)
			deliver(next.text)
		}
	}
}
