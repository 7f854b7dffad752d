package cache_test

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/keyhatch/keyhatch/cache"
	"github.com/keyhatch/keyhatch/internal/testkit"
)

// Invariant 3, C-04: the keys that one instance publishes are invalidated at once by the others,
// but not by the publisher. No other key is invalidated.
func TestGroupInvalidates(t *testing.T) {
	for _, tt := range []struct {
		name    string
		publish func(context.Context, *cache.Group) error
		gone    []int
	}{
		{"a key", func(ctx context.Context, f *cache.Group) error { return f.Publish(ctx, keyOf(1)) }, []int{1}},
		{"keys", func(ctx context.Context, f *cache.Group) error { return f.Publish(ctx, keyOf(1), keyOf(3)) }, []int{1, 3}},
		{"a group", func(ctx context.Context, f *cache.Group) error { return f.PublishGroup(ctx, keyOf(-1-2)) }, []int{2}},
		{"nothing", func(ctx context.Context, f *cache.Group) error { return f.Publish(ctx) }, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := &hub{}
				a, b, c := h.connect(t), h.connect(t), h.connect(t)
				settle(t, a, b, c)
				for _, i := range []*instance{a, b, c} {
					i.load(t, 0, 1, 2, 3)
				}
				began := time.Now()
				if err := tt.publish(t.Context(), a.group); err != nil {
					t.Fatalf("publish: %v", err)
				}
				if took := time.Since(began); took > 0 {
					t.Errorf("publish took %v, want no wait for a heartbeat", took)
				}
				synctest.Wait()
				for n, i := range []*instance{a, b, c} {
					for key := range 4 {
						want := true
						for _, gone := range tt.gone {
							want = want && (key != gone || n == 0)
						}
						if got := i.has(key); got != want {
							t.Errorf("instance %d: key %d cached: got %t, want %t, since the others must invalidate only the published keys", n, key, got, want)
						}
					}
				}
			})
		})
	}
}

// While the bus works, entries expire no earlier than without it, regardless of the number
// of messages and instances.
func TestGroupMarksNothingStaleWithoutReason(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &hub{}
		all := make([]*instance, 20)
		for n := range all {
			all[n] = h.begin(t, func(p *port) {
				// A slow broker, so that many messages are in flight.
				p.publish.set(func(_ context.Context, message string, send func(string)) error {
					time.Sleep(time.Millisecond)
					send(message)
					return nil
				})
				p.deliver.set(func(message string, deliver func(string)) {
					deliver(message)
					time.Sleep(100 * time.Microsecond)
				})
			})
		}
		settle(t, all...)
		var before int64
		for _, i := range all {
			i.load(t, 0, 1, 2)
			before += i.StaleMarks.Load()
		}
		began, key := time.Now(), keyOf(99)
		for n := range all {
			go func() {
				for time.Since(began) < 10*time.Second {
					if err := all[n].group.Publish(t.Context(), key); err != nil {
						t.Errorf("Publish: %v", err)
					}
					time.Sleep(rand.N(100 * time.Millisecond))
				}
			}()
		}
		time.Sleep(53 * time.Second) // slightly less than the TTL minus a tenth
		var after, invalidations int64
		for n, i := range all {
			after += i.StaleMarks.Load()
			invalidations += i.Invalidations.Load()
			for key := range 3 {
				if !i.has(key) {
					t.Errorf("instance %d has lost key %d, which no instance has changed", n, key)
				}
			}
			if !i.group.Healthy() || i.Disconnects.Load() != 1 {
				t.Errorf("instance %d counts the bus as down although it works", n)
			}
		}
		if after != before || invalidations == 0 {
			t.Errorf("entries marked stale while the bus worked: got %d times, want 0; received %d changes", after-before, invalidations)
		}
		t.Logf("received %d changes", invalidations)
	})
}

// An instance receives its own messages, however many it sends and however long they
// take.
func TestGroupReceivesEchoesWhileBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &hub{}
		a := h.begin(t, func(p *port) {
			p.publish.set(func(_ context.Context, message string, send func(string)) error {
				time.Sleep(time.Millisecond)
				time.AfterFunc(500*time.Millisecond, func() { send(message) })
				return nil
			})
		})
		settle(t, a)
		for began := time.Now(); time.Since(began) < 10*time.Second; {
			if err := a.group.Publish(t.Context(), keyOf(1)); err != nil {
				t.Fatal(err)
			}
			if !a.group.Healthy() {
				t.Fatal("the bus counts as down although every message arrives")
			}
		}
		time.Sleep(time.Second)
	})
}

// Invariant 3, C-12: after a message that may have been missed, all entries are soon
// marked stale.
func TestGroupMarksStale(t *testing.T) {
	publish := func(t *testing.T, i *instance) {
		t.Helper()
		if err := i.group.Publish(t.Context(), keyOf(0)); err != nil {
			t.Errorf("Publish: %v", err)
		}
	}
	failing := func(t *testing.T, i *instance) {
		t.Helper()
		i.port.publish.set(refuse)
		if err := i.group.Publish(t.Context(), keyOf(0)); !isRefused(err) {
			t.Errorf("Publish: got %v, want the bus's error", err)
		}
		i.port.publish.reset()
	}
	for _, tt := range []struct {
		name   string
		happen func(t *testing.T, h *hub, a, b *instance)
		within time.Duration
	}{
		{"the connection is lost", func(_ *testing.T, _ *hub, _, b *instance) {
			b.port.receive.set(func(context.Context, func(echoFunc), func(string)) error { return errRefused })
			b.port.cut()
		}, 0},
		{"a message is lost", func(t *testing.T, _ *hub, a, b *instance) {
			b.port.deliver.set(drop)
			publish(t, a)
			synctest.Wait()
			b.port.deliver.reset()
		}, time.Second},
		{"a message is lost and another follows", func(t *testing.T, _ *hub, a, b *instance) {
			b.port.deliver.set(drop)
			publish(t, a)
			synctest.Wait()
			b.port.deliver.reset()
			publish(t, a)
		}, 0},
		{"a message of a new instance is lost", func(t *testing.T, h *hub, _, b *instance) {
			b.port.deliver.set(drop)
			publish(t, h.begin(t, nil))
			synctest.Wait()
			b.port.deliver.reset()
		}, time.Second},
		{"a message is damaged", func(t *testing.T, _ *hub, a, b *instance) {
			b.port.deliver.set(func(message string, deliver func(string)) { deliver(message[:30] + "A" + message[30:]) })
			publish(t, a)
		}, 0},
		{"two messages are swapped", func(t *testing.T, _ *hub, a, b *instance) {
			var held []string
			b.port.deliver.set(func(message string, deliver func(string)) {
				if held = append(held, message); len(held) == 2 {
					deliver(held[1])
					deliver(held[0])
				}
			})
			publish(t, a)
			publish(t, a)
		}, 0},
		{"an instance could not publish", func(t *testing.T, _ *hub, a, _ *instance) { failing(t, a) }, time.Second},
		{"an unknown instance could not publish", func(t *testing.T, h *hub, _, _ *instance) {
			c := h.begin(t, func(p *port) { p.publish.set(refuse) })
			synctest.Wait()
			failing(t, c)
		}, time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := &hub{}
				a, b := h.connect(t), h.connect(t)
				publish(t, a)
				settle(t, a, b)
				b.load(t, 1)
				tt.happen(t, h, a, b)
				synctest.Wait()
				if got := b.waitGone(1); got > tt.within {
					t.Errorf("entry that may have changed: served for another %v, want at most %v", got, tt.within)
				}
			})
		})
	}
}

// A message that arrives twice only invalidates its keys twice.
func TestGroupRepeatedMessages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &hub{}
		a, b := h.connect(t), h.connect(t)
		settle(t, a, b)
		b.port.deliver.set(func(message string, deliver func(string)) { deliver(message); deliver(message) })
		b.load(t, 0, 1)
		_ = a.group.Publish(t.Context(), keyOf(0))
		synctest.Wait()
		if b.has(0) {
			t.Error("a key was not invalidated by a message that arrived twice")
		}
		time.Sleep(5 * time.Second)
		b.load(t, 1)
		time.Sleep(20 * time.Second)
		if !b.has(1) {
			t.Error("heartbeats that arrived twice ended entries, want no effect")
		}
	})
}

// After a failed Publish, the next message reports the failure and the message after it contains
// the change.
func TestGroupReportsFailedPublish(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &hub{}
		a := h.connect(t)
		if err := a.group.Publish(t.Context(), keyOf(0)); err != nil {
			t.Fatal(err)
		}
		a.port.publish.set(refuse)
		if err := a.group.Publish(t.Context(), keyOf(0)); !isRefused(err) {
			t.Errorf("Publish: got %v, want the bus's error", err)
		}
		time.Sleep(3 * time.Second) // heartbeats fail, too
		before := len(h.messages(t))
		a.port.publish.reset()
		time.Sleep(3 * time.Second)
		all := h.messages(t)
		for n, m := range all {
			if m.All != (n == before) {
				t.Errorf("message %d of %d reports that a change may be lost: got %t, want true only for message %d, the first after the failure", n, len(all), m.All, before)
			}
		}
		// The change that could not be sent is sent now.
		if again := all[before+1]; again.Change != 3 || len(again.Keys) != 1 || again.Keys[0] != keyOf(0) {
			t.Errorf("next message: got %+v, want the change that could not be sent, as number 3", again)
		}
	})
}

// on a new connection, all entries are marked stale before the first message is
// delivered, since earlier messages may be lost.
func TestGroupNewConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &hub{}
		a, b := h.connect(t), h.connect(t)
		settle(t, a, b)
		b.port.receive.set(func(ctx context.Context, _ func(echoFunc), _ func(string)) error { <-ctx.Done(); return ctx.Err() })
		b.port.cut()
		synctest.Wait()
		b.load(t, 1)
		if err := a.group.Publish(t.Context(), keyOf(1)); err != nil {
			t.Fatal(err)
		}
		// Every receiver that the broker counts must have marked its entries
		// stale: the next change may be the first that it receives.
		var served atomic.Bool
		b.port.receive.set(func(ctx context.Context, ready func(echoFunc), deliver func(string)) error {
			return b.port.listen(ctx, func(echo echoFunc) { ready(echo); served.Store(b.has(1)) }, deliver)
		})
		settle(t, b)
		if served.Load() {
			t.Error("an entry from before a new connection was served after it, want it stale, since earlier messages are lost")
		}
		if n := len(b.reports); n != 3 || b.reports[0] != nil || b.reports[1] == nil || b.reports[2] != nil {
			t.Errorf("reports: got %v, want up, lost, up", b.reports)
		}
	})
}

// while the bus is down, entries expire after at most 10 s, and afterwards after
// their TTL.
func TestGroupWithoutBus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &hub{}
		b := h.begin(t, func(p *port) {
			p.receive.set(func(context.Context, func(echoFunc), func(string)) error { return errRefused })
		})
		b.load(t, 0)
		if got := b.waitGone(0); got > cache.AloneTTL || got < 8*time.Second {
			t.Errorf("entry before the bus was up: served for %v, want 9 to 10 s", got)
		}
		b.port.receive.reset()
		settle(t, b)
		b.load(t, 0)
		time.Sleep(50 * time.Second)
		if !b.has(0) {
			t.Error("an entry expired after 50 s although the bus works, want the TTL of a minute")
		}
		b.port.receive.set(func(context.Context, func(echoFunc), func(string)) error { return errRefused })
		b.port.cut()
		synctest.Wait()
		if b.group.Healthy() {
			t.Error("Healthy after the connection was cut: got true, want false")
		}
		b.load(t, 0)
		if got := b.waitGone(0); got > cache.AloneTTL || got < 8*time.Second {
			t.Errorf("entry after the bus went down: served for %v, want 9 to 10 s", got)
		}
		b.load(t, 0)
		if got := b.waitGone(0); got > cache.AloneTTL {
			t.Errorf("entry long after the bus went down: served for %v, want at most 10 s", got)
		}
	})
}

// A bus counts as down after 3 s without an echo, whether Publish or Receive has failed.
func TestGroupSilence(t *testing.T) {
	for _, tt := range []struct {
		name    string
		silence func(p *port)
	}{
		{"all messages are dropped", func(p *port) { p.deliver.set(drop) }},
		{"own messages are refused", func(p *port) { p.publish.set(refuse) }},
		{"own messages are dropped", func(p *port) {
			p.publish.set(func(context.Context, string, func(string)) error { return nil })
		}},
		{"Publish hangs", func(p *port) {
			p.publish.set(func(ctx context.Context, _ string, _ func(string)) error { <-ctx.Done(); return ctx.Err() })
		}},
		{"Publish hangs and ignores its context", func(p *port) {
			p.publish.set(func(context.Context, string, func(string)) error { time.Sleep(time.Minute); return nil })
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := &hub{}
				a, b := h.connect(t), h.connect(t)
				settle(t, a, b)
				b.load(t, 1)
				tt.silence(b.port)
				if got := b.waitGone(1); got > cache.Silence {
					t.Errorf("entry during silence: served for %v, want at most 3 s", got)
				}
				time.Sleep(10 * time.Millisecond)
				synctest.Wait()
				if b.group.Healthy() || len(b.reports) != 2 || b.reports[1] == nil {
					t.Errorf("got up = %t and the reports %v, want the bus reported as down", b.group.Healthy(), b.reports)
				}
				b.load(t, 1)
				if got := b.waitGone(1); got > cache.AloneTTL {
					t.Errorf("entry while the bus was down: served for %v, want at most 10 s", got)
				}
				if got := a.group.Healthy(); !got {
					t.Error("another instance counts the bus as down although its connection works")
				}
				b.port.deliver.reset()
				b.port.publish.reset()
				time.Sleep(time.Minute)
				if !b.group.Healthy() {
					t.Error("the bus works again, but the instance is not up")
				}
			})
		})
	}
}

// a lease ends 3 s after the sending of the last heartbeat that has returned,
// regardless of when it returned. It ends by itself: a stopped process could not end it.
func TestLeaseCountsFromSending(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &hub{}
		a := h.connect(t)
		var sent sync.Map // time at which a message was sent, by its nonce
		var echoes atomic.Int64
		a.port.publish.set(func(_ context.Context, message string, send func(string)) error {
			m, err := cache.DecodeMessage(message)
			if err != nil {
				t.Error(err)
			}
			sent.Store(string(m.Nonce), time.Now())
			time.AfterFunc(1500*time.Millisecond, func() { send(message) })
			return nil
		})
		a.port.deliver.set(func(message string, deliver func(string)) {
			m, err := cache.DecodeMessage(message)
			if err != nil {
				t.Error(err)
			}
			deliver(message)
			at, ok := sent.Load(string(m.Nonce))
			if !ok {
				return
			}
			echoes.Add(1)
			if lease := a.Until.Load().Sub(at.(time.Time)); lease != cache.Silence {
				t.Errorf("end of the lease: got %v after a heartbeat was sent, want 3 s", lease)
			}
		})
		time.Sleep(10 * time.Second)
		if !a.group.Healthy() || echoes.Load() < 8 {
			t.Errorf("got up = %t after %d heartbeats that took 1.5 s each, want true", a.group.Healthy(), echoes.Load())
		}
		// A heartbeat that takes longer than its lease does not extend the lease.
		a.load(t, 1)
		a.port.publish.set(func(_ context.Context, message string, send func(string)) error {
			time.AfterFunc(4*time.Second, func() { send(message) })
			return nil
		})
		a.port.deliver.reset()
		time.Sleep(5 * time.Second)
		if a.group.Healthy() || a.has(1) {
			t.Errorf("heartbeats take 4 s to return: got up = %t, entry served = %t, want neither", a.group.Healthy(), a.has(1))
		}
		time.Sleep(5 * time.Second)
	})
}

// Invariant 3, C-12: a forged message can only invalidate entries.
func TestGroupForgery(t *testing.T) {
	unknown := []byte("unknown instance")
	for _, tt := range []struct {
		name  string
		forge func(b *instance, seen []cache.Message) cache.Message
	}{
		{"the receiver's own origin, a nonce that was never sent", func(b *instance, _ []cache.Message) cache.Message {
			return cache.Message{Origin: b.group.Origin(), Nonce: []byte("anything")}
		}},
		{"the receiver's own origin, a zero nonce", func(b *instance, _ []cache.Message) cache.Message {
			return cache.Message{Origin: b.group.Origin()}
		}},
		{"the receiver's own origin, the last nonce plus one", func(b *instance, seen []cache.Message) cache.Message {
			nonce := append([]byte(nil), seen[len(seen)-1].Nonce...)
			nonce[7]++
			return cache.Message{Origin: b.group.Origin(), Nonce: nonce, Change: 1}
		}},
		{"the first echo repeated", func(b *instance, seen []cache.Message) cache.Message { return seen[0] }},
		{"the last echo repeated", func(b *instance, seen []cache.Message) cache.Message { return seen[len(seen)-1] }},
		{"changes of the receiver's own", func(b *instance, _ []cache.Message) cache.Message {
			return cache.Message{Origin: b.group.Origin(), Change: math.MaxUint64, All: true, Keys: []cache.Key{keyOf(1)}}
		}},
		{"a heartbeat of an unknown instance", func(*instance, []cache.Message) cache.Message { return cache.Message{Origin: unknown} }},
		{"change number zero of an unknown instance", func(*instance, []cache.Message) cache.Message {
			return cache.Message{Origin: unknown, Keys: []cache.Key{keyOf(1)}}
		}},
		{"the highest change number", func(*instance, []cache.Message) cache.Message {
			return cache.Message{Origin: unknown, Change: math.MaxUint64, Groups: []cache.Key{keyOf(1)}}
		}},
		{"no origin", func(*instance, []cache.Message) cache.Message { return cache.Message{Change: 1} }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := &hub{}
				b := h.connect(t)
				seen := h.messages(t)
				// From here on it receives only forged messages.
				var forged atomic.Bool
				b.port.deliver.set(func(message string, deliver func(string)) {
					if forged.Load() {
						deliver(message)
					}
				})
				b.port.publish.set(func(context.Context, string, func(string)) error { return nil })
				b.load(t, 0, 1, 2)
				lease := *b.Until.Load()
				forged.Store(true)
				for began := time.Now(); time.Since(began) < cache.Silence+50*time.Millisecond; time.Sleep(100 * time.Millisecond) {
					h.send(tt.forge(b, seen).Encode())
				}
				synctest.Wait()
				if until := *b.Until.Load(); until.After(lease) || b.group.Healthy() {
					t.Errorf("got a lease until %v and up = %t, want only the lease of genuine heartbeats, until %v", until, b.group.Healthy(), lease)
				}
				for key := range 3 {
					if b.has(key) {
						t.Errorf("key %d was served after the lease of genuine heartbeats", key)
					}
				}
				b.port.deliver.reset()
				b.port.publish.reset()
				settle(t, b)
			})
		})
	}
}

// C-12: a forged message can neither restore an invalidated key nor hide the next change.
func TestGroupForgedCountsHideNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &hub{}
		a, b := h.connect(t), h.connect(t)
		settle(t, a, b)
		for _, change := range []uint64{0, 1, 2, 3, 1 << 40, math.MaxUint64} {
			b.load(t, 0, 1)
			_ = a.group.Publish(t.Context(), keyOf(0))
			h.send(cache.Message{Origin: a.group.Origin(), Change: change}.Encode())
			synctest.Wait()
			if b.has(0) {
				t.Errorf("an invalidated key was served after a forged count of %d", change)
			}
			b.load(t, 1)
			_ = a.group.Publish(t.Context(), keyOf(1))
			synctest.Wait()
			if b.has(1) {
				t.Errorf("a change was missed after a forged count of %d", change)
			}
		}
	})
}

// C-08: forged messages of any number of instances take a bounded amount of memory.
func TestGroupFloodOfOrigins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &hub{}
		b := h.connect(t)
		most := 0
		for n := range testkit.Trials(20_000, 100_000) {
			origin := keyOf(n)
			h.send(cache.Message{Origin: origin[:16], Change: uint64(n % 100 / 99)}.Encode())
			if n%1_000 == 0 {
				synctest.Wait()
				most = max(most, b.group.Peers())
			}
		}
		synctest.Wait()
		if most = max(most, b.group.Peers()); most > cache.MaxPeers {
			t.Errorf("tracked instances: got %d, want at most %d", most, cache.MaxPeers)
		}
		settle(t, b)
		b.load(t, 0)
		a := h.connect(t)
		_ = a.group.Publish(t.Context(), keyOf(0))
		synctest.Wait()
		if b.has(0) {
			t.Error("a change was missed after a flood")
		}
	})
}

// Changes that are published while a message is in flight are sent together, in the order
// of the calls.
func TestGroupPublishesTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &hub{}
		a := h.connect(t)
		before := len(h.messages(t))
		resume := make(chan struct{})
		a.port.publish.set(func(_ context.Context, message string, send func(string)) error {
			<-resume
			send(message)
			return nil
		})
		const calls = 200
		errs := make(chan error, calls)
		for n := range calls {
			go func() { errs <- a.group.Publish(t.Context(), keyOf(n)) }()
			synctest.Wait()
		}
		close(resume)
		for range calls {
			if err := <-errs; err != nil {
				t.Errorf("Publish: %v", err)
			}
		}
		sent, next, change := h.messages(t)[before:], 0, uint64(0)
		for _, m := range sent {
			if len(m.Keys) == 0 {
				continue
			}
			if change++; m.Change != change {
				t.Errorf("count in message %d of a change: got %d", change, m.Change)
			}
			for _, key := range m.Keys {
				if key != keyOf(next) {
					t.Fatalf("key %d is out of order, want the order of the calls", next)
				}
				next++
			}
		}
		if next != calls || change != 1+(calls-1+63)/64 {
			t.Errorf("%d calls: got %d keys in %d messages, want one message for the first and 64 at a time for the others", calls, next, change)
		}
	})
}

// Each call returns the result of its own message.
func TestGroupPublishErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &hub{}
		a := h.connect(t)
		failing := true
		a.port.publish.set(func(_ context.Context, message string, send func(string)) error {
			time.Sleep(100 * time.Millisecond)
			m, err := cache.DecodeMessage(message)
			if err != nil {
				return err
			}
			if len(m.Keys) > 0 && failing {
				failing = false
				return errRefused
			}
			send(message)
			return nil
		})
		var all sync.WaitGroup
		all.Go(func() {
			if err := a.group.Publish(t.Context(), keyOf(0)); !isRefused(err) {
				t.Errorf("the first call, whose message was refused: got %v, want the bus's error", err)
			}
		})
		synctest.Wait()
		all.Go(func() {
			if err := a.group.Publish(t.Context(), keyOf(1)); err != nil {
				t.Errorf("the second call, whose message was accepted: got %v, want nil", err)
			}
		})
		all.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			defer cancel()
			if err := a.group.Publish(ctx, keyOf(2)); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("a call with a short deadline: got %v, want DeadlineExceeded", err)
			}
		})
		all.Wait()
		published := map[cache.Key]bool{}
		for _, m := range h.messages(t) {
			for _, key := range m.Keys {
				published[key] = true
			}
		}
		if published[keyOf(0)] || !published[keyOf(1)] || !published[keyOf(2)] {
			t.Errorf("keys of the first, second and third call were sent: got %t, %t, %t, want false, true, true", published[keyOf(0)], published[keyOf(1)], published[keyOf(2)])
		}
	})
}

// A Publish that hangs delays its callers by a bounded time.
func TestGroupPublishIsBounded(t *testing.T) {
	for _, ignores := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			h := &hub{}
			a := h.connect(t)
			release := make(chan struct{})
			a.port.publish.set(func(ctx context.Context, _ string, _ func(string)) error {
				if ignores {
					ctx = context.WithoutCancel(ctx)
				}
				select {
				case <-ctx.Done():
				case <-release:
				}
				return errRefused
			})
			for range 3 {
				began := time.Now()
				if err := a.group.Publish(t.Context(), keyOf(0)); err == nil {
					t.Errorf("ignores its context %t: Publish with a bus that hangs succeeded", ignores)
				}
				if took := time.Since(began); took > 2*time.Second {
					t.Errorf("ignores its context %t: Publish took %v, want at most 2 s for an earlier message and its own", ignores, took)
				}
			}
			close(release)
			a.port.publish.reset()
			time.Sleep(5 * time.Second)
			if err := a.group.Publish(t.Context(), keyOf(0)); err != nil {
				t.Errorf("ignores its context %t: Publish after the bus has recovered: %v", ignores, err)
			}
		})
	}
}

// With any fault of a bus, an instance serves no entry for longer than 10 s, and it
// recovers as soon as the bus does.
func TestBrokenBus(t *testing.T) {
	hang := func(ctx context.Context, _ func(echoFunc), _ func(string)) error { <-ctx.Done(); return ctx.Err() }
	for _, tt := range []struct {
		name    string
		receive func(p *port) func(ctx context.Context, ready func(echoFunc), deliver func(string)) error
		publish func(ctx context.Context, message string, send func(string)) error
		up      bool // the fault does no harm
	}{
		{name: "Receive returns nil", receive: func(*port) func(context.Context, func(echoFunc), func(string)) error {
			return func(context.Context, func(echoFunc), func(string)) error { return nil }
		}},
		{name: "Receive returns nil once it is ready", receive: func(*port) func(context.Context, func(echoFunc), func(string)) error {
			return func(_ context.Context, ready func(echoFunc), _ func(string)) error { ready(nil); return nil }
		}},
		{name: "Receive is never ready", receive: func(*port) func(context.Context, func(echoFunc), func(string)) error { return hang }},
		{name: "Receive delivers and is never ready", receive: func(p *port) func(context.Context, func(echoFunc), func(string)) error {
			return func(ctx context.Context, _ func(echoFunc), deliver func(string)) error {
				return p.listen(ctx, func(echoFunc) {}, deliver)
			}
		}},
		{name: "Receive is ready twice", receive: func(p *port) func(context.Context, func(echoFunc), func(string)) error {
			return func(ctx context.Context, ready func(echoFunc), deliver func(string)) error {
				return p.listen(ctx, func(echo echoFunc) { ready(echo); ready(echo) }, deliver)
			}
		}},
		{name: "Receive is ready and hangs", receive: func(*port) func(context.Context, func(echoFunc), func(string)) error {
			return func(ctx context.Context, ready func(echoFunc), deliver func(string)) error {
				ready(nil)
				return hang(ctx, ready, deliver)
			}
		}},
		{name: "Receive delivers before it is ready", up: true, receive: func(p *port) func(context.Context, func(echoFunc), func(string)) error {
			return func(ctx context.Context, ready func(echoFunc), deliver func(string)) error {
				return p.listen(ctx, func(echo echoFunc) {
					deliver("?")
					deliver(cache.Message{Keys: []cache.Key{keyOf(1)}}.Encode())
					ready(echo)
				}, deliver)
			}
		}},
		{name: "Receive panics", receive: func(*port) func(context.Context, func(echoFunc), func(string)) error {
			return func(context.Context, func(echoFunc), func(string)) error { panic("boom") }
		}},
		{name: "Receive panics once it is ready", receive: func(*port) func(context.Context, func(echoFunc), func(string)) error {
			return func(_ context.Context, ready func(echoFunc), _ func(string)) error { ready(nil); panic(nil) }
		}},
		{name: "Receive exits", receive: func(*port) func(context.Context, func(echoFunc), func(string)) error {
			return func(context.Context, func(echoFunc), func(string)) error { runtime.Goexit(); return nil }
		}},
		{name: "Receive delivers garbage", receive: func(*port) func(context.Context, func(echoFunc), func(string)) error {
			return func(ctx context.Context, ready func(echoFunc), deliver func(string)) error {
				ready(nil)
				for ctx.Err() == nil {
					deliver(strings.Repeat("?", rand.IntN(10_000)))
					time.Sleep(100 * time.Millisecond)
				}
				return ctx.Err()
			}
		}},
		{name: "Receive fails with an error that panics", receive: func(*port) func(context.Context, func(echoFunc), func(string)) error {
			return func(context.Context, func(echoFunc), func(string)) error { return hostileError{} }
		}},
		{name: "Publish panics", publish: func(context.Context, string, func(string)) error { panic("boom") }},
		{name: "Publish exits", publish: func(context.Context, string, func(string)) error { runtime.Goexit(); return nil }},
		{name: "Publish fails with an error that panics", publish: func(context.Context, string, func(string)) error { return hostileError{} }},
		{name: "Publish sends something else", publish: func(_ context.Context, message string, send func(string)) error {
			send(strings.ToLower(message))
			return nil
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := &hub{}
				b := h.begin(t, func(p *port) {
					if tt.receive != nil {
						p.receive.set(tt.receive(p))
					}
					if tt.publish != nil {
						p.publish.set(tt.publish)
					}
				})
				time.Sleep(20 * time.Second)
				if b.group.Healthy() != tt.up {
					t.Fatalf("up: got %t, want %t", b.group.Healthy(), tt.up)
				}
				if !tt.up {
					if _, err := b.Load(t.Context(), keyOf(1), found(1, new(atomic.Int64))); err != nil {
						t.Errorf("Load without a bus: %v", err)
					}
					if got := b.waitGone(1); got > cache.AloneTTL {
						t.Errorf("entry without a bus: served for %v, want at most 10 s", got)
					}
				}
				if err := b.group.Publish(t.Context(), keyOf(1)); (err != nil) != (tt.publish != nil) && !strings.Contains(tt.name, "else") {
					t.Errorf("Publish: %v", err)
				} else {
					_ = errors.Is(err, errDown) // must not panic
				}
				b.port.receive.reset()
				b.port.publish.reset()
				b.port.cut()
				settle(t, b)
			})
		})
	}
}

// A Group tries to connect about twice a second. An attempt that hangs does not delay the
// next one, and a broker that refuses at once does not get more attempts.
func TestGroupReconnects(t *testing.T) {
	for _, tt := range []struct {
		name    string
		receive func(ctx context.Context, ready func(echoFunc), deliver func(string)) error
		most    int64 // attempts at once
	}{
		{"refused", func(context.Context, func(echoFunc), func(string)) error { return errRefused }, 1},
		{"accepted and dropped", func(_ context.Context, ready func(echoFunc), _ func(string)) error { ready(nil); return errCut }, 1},
		{"black hole", func(ctx context.Context, _ func(echoFunc), _ func(string)) error { <-ctx.Done(); return ctx.Err() }, cache.MaxLinks},
		{"slow to refuse", func(context.Context, func(echoFunc), func(string)) error {
			time.Sleep(2 * time.Second)
			return errRefused
		}, cache.MaxLinks},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := &hub{}
				var under, most atomic.Int64
				b := h.begin(t, func(p *port) {
					p.receive.set(func(ctx context.Context, ready func(echoFunc), deliver func(string)) error {
						if n := under.Add(1); n > most.Load() {
							most.Store(n)
						}
						defer under.Add(-1)
						return tt.receive(ctx, ready, deliver)
					})
				})
				const span = time.Minute
				time.Sleep(span)
				synctest.Wait()
				if n := b.port.attempts.Load(); n < int64(span/(600*time.Millisecond)) || n > int64(span/(300*time.Millisecond))+1 {
					t.Errorf("attempts in a minute: got %d, want about one every 400 ms", n)
				}
				if most.Load() > tt.most {
					t.Errorf("concurrent attempts: got %d, want at most %d", most.Load(), tt.most)
				}
				b.port.receive.reset()
				fixed := time.Now()
				for !b.group.Healthy() && time.Since(fixed) < 10*time.Second {
					time.Sleep(10 * time.Millisecond)
				}
				if took := time.Since(fixed); took > 600*time.Millisecond {
					t.Errorf("the instance was up %v after the broker, want about half a second", took)
				}
			})
		})
	}
}

// Close ends all goroutines, which synctest checks. With a bus that hangs, it returns when
// its context ends.
func TestGroupClose(t *testing.T) {
	for _, tt := range []struct {
		name    string
		disturb func(p *port, release <-chan struct{})
		want    error
	}{
		{"a bus that works", func(*port, <-chan struct{}) {}, nil},
		{"a bus that hangs until its context ends", func(p *port, _ <-chan struct{}) {
			p.publish.set(func(ctx context.Context, _ string, _ func(string)) error { <-ctx.Done(); return ctx.Err() })
			p.receive.set(func(ctx context.Context, _ func(echoFunc), _ func(string)) error { <-ctx.Done(); return ctx.Err() })
			p.cut()
		}, nil},
		{"a Publish that hangs forever", func(p *port, release <-chan struct{}) {
			p.publish.set(func(context.Context, string, func(string)) error { <-release; return nil })
		}, context.DeadlineExceeded},
		{"a Receive that hangs forever", func(p *port, release <-chan struct{}) {
			p.receive.set(func(_ context.Context, ready func(echoFunc), _ func(string)) error { ready(nil); <-release; return nil })
			p.cut()
		}, context.DeadlineExceeded},
		{"a Receive that hangs forever and is not ready", func(p *port, release <-chan struct{}) {
			p.receive.set(func(context.Context, func(echoFunc), func(string)) error { <-release; return nil })
			p.cut()
		}, context.DeadlineExceeded},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := &hub{}
				b := h.connect(t)
				release := make(chan struct{})
				tt.disturb(b.port, release)
				time.Sleep(30 * time.Second)
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				began := time.Now()
				if err := b.group.Close(ctx); !errors.Is(err, tt.want) || time.Since(began) > time.Second {
					t.Errorf("Close: got %v after %v, want %v within 1 s", err, time.Since(began), tt.want)
				}
				if err := b.group.Publish(t.Context(), keyOf(0)); err == nil {
					t.Error("Publish after Close succeeded")
				}
				close(release)
				for range 2 {
					if err := b.group.Close(t.Context()); err != nil {
						t.Errorf("second Close: %v", err)
					}
				}
				if b.group.Healthy() {
					t.Error("Healthy after Close: got true, want false")
				}
			})
		})
	}
}

// Publish returns, with or without an error, during Close.
func TestGroupCloseDuringPublish(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &hub{}
		b := h.connect(t)
		var closing atomic.Bool
		var all sync.WaitGroup
		for range 100 {
			all.Go(func() {
				for range 100 {
					if err := b.group.Publish(t.Context(), keyOf(0)); err != nil && !closing.Load() {
						t.Errorf("Publish of an open group: %v", err)
					}
				}
			})
		}
		runtime.Gosched()
		closing.Store(true)
		if err := b.group.Close(t.Context()); err != nil {
			t.Errorf("Close: %v", err)
		}
		all.Wait()
	})
}
