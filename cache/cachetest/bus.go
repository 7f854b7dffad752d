package cachetest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/keyhatch/keyhatch/cache"
)

// RunBus tests a Bus. Each rule of [cache.Bus] is a subtest with a bus of its own.
// newBus returns a bus that does not share messages with any other bus, and closes
// it with t.Cleanup. The subtests run in parallel, so several buses may be in use
// at once. The suite takes about 5 s.
func RunBus(t *testing.T, newBus func(t *testing.T) cache.Bus) {
	t.Helper()
	for _, r := range busRules {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			r.check(t, newBus(t))
		})
	}
}

var busRules = []struct {
	name  string
	check func(t *testing.T, b cache.Bus)
}{
	{"Messages arrive in order", busOrder},
	{"The longest message arrives whole", busLongest},
	{"All receivers get each message", busEveryone},
	{"No message is lost after ready", busReady},
	{"Concurrent publishers lose nothing", busPublishers},
	{"A slow receiver loses nothing", busSlow},
	{"A receiver that ends does not affect others", busLeaves},
	{"A quiet connection stays open", busQuiet},
	{"An echo arrives after earlier messages", busEchoOrder},
	{"An echo arrives on its own connection only", busEchoAlone},
	{"Receive returns when its context ends", busReceiveContext},
	{"Publish returns when its context ends", busPublishContext},
}

func publish(t *testing.T, b cache.Bus, messages ...string) {
	t.Helper()
	for _, m := range messages {
		if err := b.Publish(t.Context(), m); err != nil {
			t.Fatalf("Publish(%.40q): %v", m, err)
		}
	}
}

// delivers fails unless exactly these messages were delivered, in order.
func delivers(t *testing.T, r *receiver, want []string, rule string) {
	t.Helper()
	got := r.waitFor(len(want))
	if slices.Equal(got, want) {
		return
	}
	for i := range min(len(got), len(want)) {
		if got[i] != want[i] {
			t.Fatalf("%s: message %d: got %s, want %s", rule, i, brief(got[i]), brief(want[i]))
		}
	}
	t.Fatalf("%s: got %d messages, want %d", rule, len(got), len(want))
}

func brief(message string) string {
	return fmt.Sprintf("%.40q of %d bytes", message, len(message))
}

func numbered(prefix string, n int) (messages []string) {
	for i := range n {
		messages = append(messages, fmt.Sprint(prefix, " ", i))
	}
	return messages
}

func busOrder(t *testing.T, b cache.Bus) {
	r := receive(t, b)
	want := numbered("message", 200)
	publish(t, b, want...)
	delivers(t, r, want, "messages must arrive in the order in which they were published")
}

func busLongest(t *testing.T, b cache.Bus) {
	r := receive(t, b)
	var printable strings.Builder
	for c := byte(' '); c <= '~'; c++ {
		printable.WriteByte(c)
	}
	all := strings.Repeat(printable.String(), cache.MaxMessage/printable.Len()+1)
	want := []string{"x", printable.String(), all[:cache.MaxMessage], strings.Repeat("'", cache.MaxMessage), `\n%s $1 ?`}
	publish(t, b, want...)
	delivers(t, r, want, "printable ASCII of up to MaxMessage bytes must arrive unchanged")
}

func busEveryone(t *testing.T, b cache.Bus) {
	one, two, three := receive(t, b), receive(t, b), receive(t, b)
	want := numbered("message", 50)
	publish(t, b, want...)
	for _, r := range []*receiver{one, two, three} {
		delivers(t, r, want, "each receiver must get every message")
	}
}

// busReady starts receivers in the middle of a stream of numbered messages.
func busReady(t *testing.T, b cache.Bus) {
	var next atomic.Int64
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	stopped := make(chan error, 1)
	go func() {
		for ctx.Err() == nil {
			if err := b.Publish(t.Context(), fmt.Sprint(next.Add(1)-1)); err != nil {
				stopped <- err
				return
			}
		}
		stopped <- nil
	}()
	receivers := make([]*receiver, 8)
	from := make([]int64, len(receivers))
	for i := range receivers {
		receivers[i] = &receiver{t: t, begun: func() { from[i] = next.Load() }}
		receivers[i].start(b)
		receivers[i].awaitReady()
	}
	enough := from[len(from)-1] + 100
	for began := time.Now(); next.Load() < enough && time.Since(began) < patience; {
		time.Sleep(time.Millisecond)
	}
	stop()
	if err := await(t, stopped, patience, "Publish must return"); err != nil {
		t.Fatalf("Publish: %v", err)
	}
	if next.Load() < enough {
		t.Fatalf("Publish must return soon: %d messages in %v", 100-(enough-next.Load()), patience)
	}
	last := fmt.Sprint(next.Load() - 1)
	for i, r := range receivers {
		got := r.wait(func(got []string) bool { return slices.Contains(got, last) })
		n := from[i]
		for _, m := range got {
			if m == fmt.Sprint(n) {
				n++
			}
		}
		if n != next.Load() {
			t.Errorf("messages published after the call of ready must be delivered in order: started at %d, %d is missing, the last is %s", from[i], n, last)
		}
	}
}

func busPublishers(t *testing.T, b cache.Bus) {
	const publishers, each = 20, 25
	one, two := &receiver{t: t, slow: 100 * time.Microsecond}, receive(t, b)
	one.start(b)
	one.awaitReady()
	together(t, publishers, func(i int) error {
		for _, m := range numbered(fmt.Sprint("publisher ", i), each) {
			if err := b.Publish(t.Context(), m); err != nil {
				return err
			}
		}
		return nil
	}, "Publish from many goroutines")
	for _, r := range []*receiver{one, two} {
		got := r.waitFor(publishers * each)
		for i := range publishers {
			want := numbered(fmt.Sprint("publisher ", i), each)
			if his := from(got, fmt.Sprint("publisher ", i, " ")); !slices.Equal(his, want) {
				t.Fatalf("each message of concurrent publishers must arrive once, in its publisher's order: got %q", his)
			}
		}
	}
}

func from(messages []string, prefix string) (of []string) {
	for _, m := range messages {
		if strings.HasPrefix(m, prefix) {
			of = append(of, m)
		}
	}
	return of
}

// busSlow uses a deliver that takes longer than a connection may be silent.
func busSlow(t *testing.T, b cache.Bus) {
	r := &receiver{t: t, slow: 1300 * time.Millisecond}
	r.start(b)
	r.awaitReady()
	want := numbered("message", 3)
	publish(t, b, want...)
	delivers(t, r, want, "messages that arrive while deliver runs must be delivered after it returns")
}

func busLeaves(t *testing.T, b cache.Bus) {
	one, two := receive(t, b), receive(t, b)
	one.end()
	three := receive(t, b)
	publish(t, b, "message")
	for _, r := range []*receiver{two, three} {
		delivers(t, r, []string{"message"}, "a call of Receive that ends must not affect other calls, current or later")
	}
}

func busQuiet(t *testing.T, b cache.Bus) {
	r := receive(t, b)
	for i := range 2 {
		select {
		case <-r.ended:
			t.Fatalf("Receive must not return while no messages arrive: it returned %v", r.err)
		case <-time.After(2500 * time.Millisecond):
		}
		publish(t, b, fmt.Sprint("message ", i))
		delivers(t, r, numbered("message", i+1), "messages after a silence must be delivered")
	}
}

func echo(t *testing.T, r *receiver, message string) {
	t.Helper()
	if r.echo == nil {
		t.Skip("the bus has no echo")
	}
	if err := r.echo(t.Context(), message); err != nil {
		t.Fatalf("echo: %v", err)
	}
}

// busEchoOrder sends echoes while the receiver still delivers earlier messages.
func busEchoOrder(t *testing.T, b cache.Bus) {
	r := &receiver{t: t, slow: time.Millisecond}
	r.start(b)
	r.awaitReady()
	const rounds, each = 20, 5
	for i := range rounds {
		publish(t, b, numbered(fmt.Sprint("round ", i), each)...)
		echo(t, r, fmt.Sprint("echo ", i))
	}
	got := r.waitFor(rounds * (each + 1))
	for i := range rounds {
		at := slices.Index(got, fmt.Sprint("echo ", i))
		if n := len(from(got[:max(at, 0)], "round ")); n < each*(i+1) {
			t.Fatalf("an echo must be delivered after all messages published before it: echo %d came after %d messages, want at least %d: %q", i, n, each*(i+1), got)
		}
	}
}

func busEchoAlone(t *testing.T, b cache.Bus) {
	one, two := receive(t, b), receive(t, b)
	echo(t, one, "echo of one")
	echo(t, two, "echo of two")
	publish(t, b, "message")
	for r, want := range map[*receiver][]string{one: {"echo of one", "message"}, two: {"echo of two", "message"}} {
		r.waitFor(2)
		publish(t, b, "last") // an echo on the wrong connection arrives before it
		got := r.wait(func(got []string) bool { return slices.Contains(got, "last") })
		got = slices.DeleteFunc(slices.Clone(got), func(m string) bool { return m == "last" })
		if slices.Sort(got); !slices.Equal(got, want) {
			t.Errorf("an echo must be delivered on its own connection only: got %q, want %q", got, want)
		}
	}
}

func busReceiveContext(t *testing.T, b cache.Bus) {
	receive(t, b).end() // while the bus waits
	r := receive(t, b)
	for i := range 10 {
		publish(t, b, fmt.Sprint("message ", i))
	}
	r.waitFor(1)
	r.end() // while the bus delivers
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	ended := make(chan error, 1)
	go func() { ended <- b.Receive(ctx, func(func(context.Context, string) error) {}, func(string) {}) }()
	if await(t, ended, soon, "Receive must return when its context has ended") == nil {
		t.Error("Receive must return an error when its context has ended: got nil")
	}
}

func busPublishContext(t *testing.T, b cache.Bus) {
	r := receive(t, b)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	ended := make(chan error, 1)
	go func() { ended <- b.Publish(ctx, "never") }()
	if await(t, ended, soon, "Publish must return when its context has ended") == nil {
		t.Error("Publish must return an error when its context has ended: got nil")
	}
	publish(t, b, "message")
	if got := r.wait(func(got []string) bool { return slices.Contains(got, "message") }); !slices.Contains(got, "message") {
		t.Errorf("a Publish whose context has ended must not break later ones: got %q", got)
	}
}
