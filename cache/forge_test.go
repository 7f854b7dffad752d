package cache_test

import (
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/keyhatch/keyhatch/cache"
	"github.com/keyhatch/keyhatch/internal/testkit"
)

// C-16: a message that cannot be decoded, or of an unknown instance, may be a
// change, so it marks all entries stale and limits the TTL of new ones for ten seconds.
// Any number of such messages has the same effect as one.
func TestGroupUnknownSenders(t *testing.T) {
	secret := []byte("the instances' secret")
	for name, text := range map[string]string{
		"another secret": cache.Message{Origin: []byte("another"), Seq: 1, Change: 1, Keys: []cache.Key{keyOf(1)}}.Encode('x'),
		"no secret":      cache.Message{Origin: []byte("another"), Seq: 1, All: true}.Encode(),
		"damaged":        cache.Message{Origin: []byte("another"), Seq: 1}.Encode(secret...)[1:],
		"no message":     "?",
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := &hub{key: secret}
				a, b := h.connect(t), h.connect(t)
				settle(t, a, b)
				b.load(t, 1)
				h.send(text)
				synctest.Wait()
				if b.has(1) {
					t.Error("an entry was served after a message that cannot be decoded, which may have been its change")
				}
				marks := b.StaleMarks.Load()
				for began := time.Now(); time.Since(began) < 30*time.Second; time.Sleep(2 * time.Millisecond) {
					h.send(text)
				}
				b.load(t, 2)
				if got := b.StaleMarks.Load() - marks; got != 0 {
					t.Errorf("all entries marked stale by the rest of a flood: got %d times, want 0", got)
				}
				h.send(text)
				if got := b.waitGone(2); got > cache.AloneTTL || got < 8*time.Second {
					t.Errorf("entry after a flood: served for %v, want 9 to 10 s", got)
				}
				time.Sleep(2 * time.Second)
				b.load(t, 3)
				time.Sleep(50 * time.Second)
				if !b.has(3) || !b.group.Healthy() {
					t.Error("long after a flood, an entry expired within 50 s, want the TTL of a minute")
				}
			})
		})
	}
}

// C-16: an attacker without the secret sends old messages of an instance that has ended. Any
// number of such messages marks all entries stale at most once in ten seconds.
func TestGroupOldMessages(t *testing.T) {
	for _, tt := range []struct {
		name  string
		step  int // 2 leaves out every second message
		pause time.Duration
	}{
		{"at once", 2, 0},
		{"quickly", 2, 10 * time.Millisecond},
		{"so that their sender is silent in between", 1, 3500 * time.Millisecond},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := &hub{key: []byte("the instances' secret")}
				old, b := h.connect(t), h.connect(t)
				settle(t, old, b)
				for range 100 {
					_ = old.group.Publish(t.Context(), keyOf(0))
				}
				_ = old.group.Close(t.Context())
				time.Sleep(2 * cache.GoneAfter) // until it is no longer tracked
				recorded := slices.DeleteFunc(h.messages(t), func(m cache.Message) bool { return string(m.Origin) != string(old.group.Origin()) })
				began, marks := time.Now(), b.StaleMarks.Load()
				for i := 0; i < len(recorded) && time.Since(began) < time.Minute; i += tt.step {
					h.send(recorded[i].Encode(h.key...))
					time.Sleep(tt.pause)
				}
				synctest.Wait()
				most := 1 + int64(time.Since(began)/cache.AloneTTL)
				if got := b.StaleMarks.Load() - marks; got > most {
					t.Errorf("all entries marked stale within %[2]v: got %[1]d times, want at most %[3]d", got, time.Since(began), most)
				}
			})
		})
	}
}

// C-16: without a secret, forged messages neither lengthen the heartbeat interval nor make
// an instance count as silent for longer than a few minutes.
func TestGroupForgedFleet(t *testing.T) {
	for _, n := range []int{1, cache.MaxPeers} {
		synctest.Test(t, func(t *testing.T) {
			h := &hub{}
			b := h.connect(t)
			for i := range n {
				origin := keyOf(i)
				h.send(cache.Message{Origin: origin[:16], Seq: 1, Next: 49 * 24 * time.Hour, Size: cache.MaxPeers}.Encode())
			}
			time.Sleep(2 * cache.GoneAfter)
			before := len(h.messages(t))
			time.Sleep(time.Minute)
			if got := len(h.messages(t)) - before; got < 55 {
				t.Errorf("ten minutes after %d forged messages: got %d heartbeats in a minute, want one per second", n, got)
			}
			settle(t, b, h.connect(t))
			b.load(t, 1)
			time.Sleep(50 * time.Second)
			if !b.has(1) {
				t.Errorf("ten minutes after %d forged messages, an entry expired within 50 s, want the TTL of a minute", n)
			}
		})
	}
}

// forgeries lists messages that an attacker sends in the name of instance a, after its
// last message.
var forgeries = map[string]func(last cache.Message) cache.Message{
	"nothing":   nil,
	"heartbeat": func(m cache.Message) cache.Message { return m },
	"change": func(m cache.Message) cache.Message {
		m.Change++
		m.Keys = []cache.Key{keyOf(99)}
		return m
	},
	"group": func(m cache.Message) cache.Message {
		m.Change++
		m.Groups = []cache.Key{keyOf(99)}
		return m
	},
	"leaving":      func(m cache.Message) cache.Message { m.Leaving = true; return m },
	"failure":      func(m cache.Message) cache.Message { m.All = true; return m },
	"long silence": func(m cache.Message) cache.Message { m.Next = time.Hour; return m },
	"large fleet":  func(m cache.Message) cache.Message { m.Size = 1 << 31; return m },
}

// C-16, invariant 3: a change that is lost, alone or with all later messages,
// is detected within the bound, even if an attacker forges or repeats messages. Without
// a secret, an attacker can hide the change until the entry expires, but not with a forged
// leave message.
func TestForgeLoseRepeat(t *testing.T) {
	const (
		ttl   = time.Minute
		bound = cache.Silence + cache.AloneTTL
	)
	for _, secret := range []string{"the instances' secret", ""} {
		for _, way := range []string{"forged", "repeated"} {
			for _, lost := range []string{"the change", "all from then on"} {
				if testkit.Race && (way == "repeated" || lost == "the change") {
					continue // each case takes a second with the race detector
				}
				for name, forge := range forgeries {
					want := bound
					if secret == "" && way == "forged" && name != "leaving" && name != "nothing" {
						want = ttl
					}
					t.Run(name+" "+way+", "+lost+" lost, secret: "+secret, func(t *testing.T) {
						synctest.Test(t, func(t *testing.T) {
							f := newForger(t, secret, forge, way == "repeated")
							f.lose(lost == "the change")
							if got := f.b.waitGone(0); got > want {
								t.Errorf("entry that was changed elsewhere: served for %v, want at most %v", got, want)
							}
							f.fill(1)
							time.Sleep(30 * time.Second)
							f.fill(2) // a key that is changed later
							if got := f.b.waitGone(2); lost != "the change" && got > want {
								t.Errorf("another entry half a minute later: served for %v, want at most %v", got, want)
							}
						})
					})
				}
			}
		}
	}
}

// A forger is an attacker who sees all messages and sends forged ones, in the name of
// instance a and to instance b.
type forger struct {
	t    *testing.T
	a, b *instance
	h    *hub

	losing atomic.Bool
}

// newForger returns a forger that already sends messages. No message is lost yet.
func newForger(t *testing.T, secret string, forge func(cache.Message) cache.Message, repeat bool) *forger {
	t.Helper()
	f := &forger{t: t, h: &hub{key: []byte(secret)}}
	f.a, f.b = f.h.connect(t), f.h.connect(t)
	if err := f.a.group.Publish(t.Context(), keyOf(98)); err != nil {
		t.Fatal(err)
	}
	settle(t, f.a, f.b)
	var key []byte
	if secret != "" && !repeat {
		key = []byte("a guessed secret")
	}
	if secret != "" && repeat {
		key = []byte(secret) // the forger repeats messages that a has authenticated
	}
	last := f.last()
	if forge == nil {
		return f
	}
	m := forge(last)
	if m.Leaving && repeat {
		m = last // a has not left, so there is no such message to repeat
	}
	done := t.Context().Done()
	go func() {
		for {
			switch {
			case !repeat:
				m.Seq++
			case !f.losing.Load(): // repeat the message that b received last
				m.Seq = f.last().Seq
			}
			f.h.inject(f.b.port, m.Encode(key...))
			select {
			case <-done:
				return
			case <-time.After(100 * time.Millisecond):
			}
		}
	}()
	time.Sleep(3 * time.Second)
	return f
}

// last returns the last message of a.
func (f *forger) last() cache.Message {
	all := f.h.messages(f.t)
	for _, m := range slices.Backward(all) {
		if string(m.Origin) == string(f.a.group.Origin()) {
			return m
		}
	}
	f.t.Fatal("instance a has sent no message")
	return cache.Message{}
}

// fill loads a key. A forged message may end its entry at once.
func (f *forger) fill(key int) {
	_, _ = f.b.Load(f.t.Context(), keyOf(key), found(1, new(atomic.Int64)))
}

// lose publishes a change of key 0 that does not reach b. Later messages of a do not reach
// b either, unless alone is set.
func (f *forger) lose(alone bool) {
	f.fill(0)
	f.losing.Store(true)
	f.h.lose(f.a.group.Origin(), f.b.port, true)
	if err := f.a.group.Publish(f.t.Context(), keyOf(0)); err != nil {
		f.t.Fatal(err)
	}
	synctest.Wait()
	f.h.lose(f.a.group.Origin(), f.b.port, !alone)
}
