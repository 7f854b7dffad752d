package cache_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/keyhatch/keyhatch/cache"
)

// A hub is a broker in memory. Faults are injected at its ports.
type hub struct {
	key   []byte // the key of the instances' messages, if any
	mu    sync.Mutex
	lines []*line
	taken []string // all messages, in order
}

// A line is a connection of a port.
type line struct {
	port     *port
	messages chan string
	cut      chan struct{}
}

func (h *hub) send(message string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.taken = append(h.taken, message)
	for _, l := range h.lines {
		l.messages <- message
	}
}

// lose begins or ends the loss of messages from one instance to a port. Injected messages
// are not lost.
func (h *hub) lose(origin []byte, p *port, lost bool) {
	p.deliver.set(func(text string, deliver func(string)) {
		m, err := cache.DecodeMessage(text, h.key...)
		if lost && err == nil && string(m.Origin) == string(origin) {
			return
		}
		deliver(strings.TrimPrefix(text, injected))
	})
}

const injected = "injected "

// inject delivers to a port a message that no instance has sent.
func (h *hub) inject(p *port, message string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, l := range h.lines {
		if l.port == p {
			if p.deliver.f.Load() != nil {
				message = injected + message
			}
			l.messages <- message
		}
	}
}

// echo sends a message to one line only.
func (h *hub) echo(l *line, message string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	l.messages <- message
}

func (h *hub) join(p *port) *line {
	h.mu.Lock()
	defer h.mu.Unlock()
	l := &line{port: p, messages: make(chan string, 1<<14), cut: make(chan struct{})}
	h.lines = append(h.lines, l)
	return l
}

func (h *hub) leave(l *line) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.lines = slices.DeleteFunc(h.lines, func(other *line) bool { return other == l })
}

func (h *hub) messages(t *testing.T) (all []cache.Message) {
	t.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, text := range h.taken {
		m, err := cache.DecodeMessage(text, h.key...)
		if err != nil {
			t.Fatalf("%q was published: %v", text, err)
		}
		all = append(all, m)
	}
	return all
}

// A port is the hub as one instance sees it. A fault that is set
// replaces the port's own behaviour.
type port struct {
	hub      *hub
	publish  fault[func(ctx context.Context, message string, send func(string)) error]
	receive  fault[receiveFunc]
	deliver  fault[func(message string, deliver func(string))] // delivers a message
	attempts atomic.Int64
}

type (
	echoFunc    = func(ctx context.Context, message string) error
	receiveFunc = func(ctx context.Context, ready func(echoFunc), deliver func(string)) error
)

type fault[F any] struct{ f atomic.Pointer[F] }

func (f *fault[F]) set(to F) { f.f.Store(&to) }
func (f *fault[F]) reset()   { f.f.Store(nil) }

func (p *port) MACKey() []byte { return p.hub.key }

func (p *port) Publish(ctx context.Context, message string) error {
	return p.pass(ctx, message, p.hub.send)
}

// pass sends a message or an echo.
func (p *port) pass(ctx context.Context, message string, send func(string)) error {
	if f := p.publish.f.Load(); f != nil {
		return (*f)(ctx, message, send)
	}
	send(message)
	return ctx.Err()
}

var errCut = errors.New("the connection was cut")

func (p *port) Receive(ctx context.Context, ready func(echoFunc), deliver func(string)) error {
	p.attempts.Add(1)
	if f := p.receive.f.Load(); f != nil {
		return (*f)(ctx, ready, deliver)
	}
	return p.listen(ctx, ready, deliver)
}

// listen is a correct Receive, except for the faults that are set for messages.
func (p *port) listen(ctx context.Context, ready func(echoFunc), deliver func(string)) error {
	l := p.hub.join(p)
	defer p.hub.leave(l)
	ready(func(ctx context.Context, message string) error {
		return p.pass(ctx, message, func(message string) { p.hub.echo(l, message) })
	})
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-l.cut:
			return errCut
		case message := <-l.messages:
			if f := p.deliver.f.Load(); f != nil {
				(*f)(message, deliver)
			} else {
				deliver(message)
			}
		}
	}
}

// cut ends the connections of the port.
func (p *port) cut() {
	p.hub.mu.Lock()
	defer p.hub.mu.Unlock()
	for _, l := range p.hub.lines {
		if l.port == p {
			close(l.cut)
		}
	}
	p.hub.lines = slices.DeleteFunc(p.hub.lines, func(l *line) bool { return l.port == p })
}

func drop(string, func(string)) {}

var errRefused = errors.New("refused")

func refuse(context.Context, string, func(string)) error { return errRefused }

// An instance is a cache that a group joins to the others of a hub.
type instance struct {
	*cache.Observed
	group *cache.Group
	port  *port
	mark  atomic.Uint64

	// The reports of the group.
	reports []error
	marks   []uint64
}

// connect returns an instance that is up. It runs within a synctest bubble.
func (h *hub) connect(t *testing.T) *instance {
	t.Helper()
	i := h.begin(t, nil)
	settle(t, i)
	return i
}

// begin returns an instance that may have a fault from the beginning.
func (h *hub) begin(t *testing.T, fault func(*port)) *instance {
	t.Helper()
	i := &instance{Observed: &cache.Observed{Cache: newCache(t, cache.Options{Size: 100})}, port: &port{hub: h}}
	if fault != nil {
		fault(i.port)
	}
	i.group = cache.NewGroup(i.port, &cache.GroupOptions{
		Report: func(err error) { i.reports = append(i.reports, err) },
		Mark:   i.mark.Load,
		OnMark: func(mark uint64) { i.marks = append(i.marks, mark) },
	})
	i.group.Join(i.Observed)
	t.Cleanup(func() {
		if err := i.group.Close(context.Background()); err != nil {
			t.Errorf("Close of the group: %v", err)
		}
	})
	return i
}

// settle waits until the instances are up and have received each other's messages.
func settle(t *testing.T, all ...*instance) {
	t.Helper()
	for range 100 {
		up := true
		for _, i := range all {
			up = up && i.group.Healthy()
		}
		if up {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	time.Sleep(1100 * time.Millisecond) // a heartbeat of each
	synctest.Wait()
	for n, i := range all {
		if !i.group.Healthy() {
			t.Fatalf("instance %d is not up 10 s after the bus has recovered", n)
		}
	}
}

// load fills the cache with the keys. Each key belongs to the group keyOf(-1-key).
func (i *instance) load(t *testing.T, keys ...int) {
	t.Helper()
	for _, key := range keys {
		_, err := i.Load(t.Context(), keyOf(key), func(context.Context) (cache.Loaded[int64], error) {
			return cache.Loaded[int64]{Value: cache.PointerTo(good), Tag: keyOf(-1 - key)}, nil
		})
		if err != nil || !i.has(key) {
			t.Fatalf("key %d is not in memory after its Load: %v", key, err)
		}
	}
}

func (i *instance) has(key int) bool {
	return i.Serves(keyOf(key), time.Now())
}

// waitGone returns how long the key was served, up to a minute.
func (i *instance) waitGone(key int) time.Duration {
	began := time.Now()
	for i.has(key) && time.Since(began) < time.Minute {
		time.Sleep(50 * time.Millisecond)
		synctest.Wait()
	}
	return time.Since(began)
}

// isRefused reports whether err has the message of errRefused. It must not match errRefused,
// since only the message of a bus's error is passed on.
func isRefused(err error) bool {
	return err != nil && strings.HasSuffix(err.Error(), errRefused.Error()) && !errors.Is(err, errRefused)
}
