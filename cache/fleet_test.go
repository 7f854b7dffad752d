package cache_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/keyhatch/keyhatch/cache"
	"github.com/keyhatch/keyhatch/internal/testkit"
)

// A member is an instance without a cache.
type member struct {
	*port
	cache.Observed
	group *cache.Group
	mark  atomic.Uint64
	marks []uint64
}

// A fleet is a number of instances. Its broker counts the deliveries, and can be split into
// two halves.
type fleet struct {
	t         *testing.T
	hub       hub
	members   []*member
	parted    atomic.Bool
	delivered atomic.Int64
}

// newFleet starts the instances one after the other, within a few seconds.
func newFleet(t *testing.T, n int, secret ...byte) *fleet {
	t.Helper()
	f := &fleet{t: t}
	f.hub.key = secret
	for i := range n {
		m := &member{port: &port{hub: &f.hub}}
		m.port.deliver.set(func(text string, deliver func(string)) {
			if f.delivered.Add(1); !f.parted.Load() || f.half(text) == i%2 {
				deliver(text)
			}
		})
		m.group = cache.NewGroup(m.port, &cache.GroupOptions{Mark: m.mark.Load, OnMark: func(mark uint64) { m.marks = append(m.marks, mark) }})
		m.group.Join(&m.Observed)
		f.members = append(f.members, m)
		time.Sleep(rand.N(10 * time.Millisecond))
	}
	t.Cleanup(func() {
		f.hub.mu.Lock()
		f.hub.lines = nil // deliver none of the last messages
		f.hub.mu.Unlock()
		var all sync.WaitGroup
		for _, m := range f.members {
			all.Go(func() { m.group.Close(context.Background()) })
		}
		all.Wait()
	})
	time.Sleep(cache.HeartbeatInterval(n) + 3*time.Second)
	synctest.Wait()
	return f
}

// half returns the half of the broker to which the sender of a message is connected.
func (f *fleet) half(text string) int {
	m, err := cache.DecodeMessage(text)
	for i, member := range f.members {
		if err == nil && string(member.group.Origin()) == string(m.Origin) {
			return i % 2
		}
	}
	return -1
}

func (f *fleet) staleMarks() (n int64) {
	for _, m := range f.members {
		n += m.StaleMarks.Load()
	}
	return n
}

// fleetSizes returns the numbers of instances to test.
func fleetSizes(t *testing.T) []int {
	switch {
	case testkit.Race:
		return []int{10, 50}
	case testkit.Trials(0, 1) == 0:
		return []int{10, 50, 200}
	}
	return []int{10, 50, 100, 200, 500, 1000}
}

// C-16: the number of deliveries per second grows only in proportion to the number of
// instances, and no entry is marked stale while no message is lost.
func TestFleetTraffic(t *testing.T) {
	for _, n := range fleetSizes(t) {
		synctest.Test(t, func(t *testing.T) {
			f := newFleet(t, n)
			before, marks := f.delivered.Load(), f.staleMarks()
			span := max(20*time.Second, cache.HeartbeatInterval(n))
			time.Sleep(span)
			perSecond := float64(f.delivered.Load()-before) / span.Seconds()
			t.Logf("%d instances: %.0f deliveries per second", n, perSecond)
			if most := min(float64(n*n), float64(n)+3500); perSecond > most*1.05 {
				t.Errorf("%d instances: got %.0f deliveries per second, want at most %.0f", n, perSecond, most)
			}
			if got := f.staleMarks() - marks; got != 0 {
				t.Errorf("%d instances: got entries marked stale %d times although no message was lost", n, got)
			}
			for i, m := range f.members {
				if !m.group.Healthy() || m.group.Peers() != n-1 {
					t.Fatalf("instance %d: got up = %t and %d peers, want true and %d", i, m.group.Healthy(), m.group.Peers(), n-1)
				}
			}
		})
	}
}

// C-16: a lost message is noticed after a second, regardless of the number of instances.
func TestFleetNoticesLostChange(t *testing.T) {
	for _, n := range []int{2, 100} {
		synctest.Test(t, func(t *testing.T) {
			f := newFleet(t, n)
			a, b := f.members[0], f.members[1]
			b.port.deliver.set(drop)
			if err := a.group.Publish(t.Context(), keyOf(1)); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			b.port.deliver.reset()
			marks := b.StaleMarks.Load()
			time.Sleep(1010 * time.Millisecond)
			synctest.Wait()
			if b.StaleMarks.Load() == marks {
				t.Errorf("%d instances: a lost change was not noticed within a second", n)
			}
		})
	}
}

// all instances of a fleet notice a split broker after about 3 s. If a single instance is
// disconnected, the others notice that after its heartbeat interval.
func TestFleetSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 80
		f := newFleet(t, n)
		marks := make([]int64, n)
		for i, m := range f.members {
			marks[i] = m.StaleMarks.Load()
		}
		f.parted.Store(true)
		time.Sleep(cache.Lateness + cache.HeartbeatInterval(n) + time.Second)
		synctest.Wait()
		for i, m := range f.members {
			if m.StaleMarks.Load() == marks[i] || m.Limits.Load() == 0 || !m.group.Healthy() {
				t.Fatalf("instance %d has not noticed that half of the others are silent", i)
			}
		}
		f.parted.Store(false)
		time.Sleep(cache.AloneTTL)
		limited := f.members[0].Limits.Load()
		time.Sleep(5 * time.Second)
		if got := f.members[0].Limits.Load() - limited; got != 0 {
			t.Errorf("got the TTL of entries limited %d times although all instances send again", got)
		}
	})
}

// A bus without echoes works, but needs a message to all instances every second.
func TestGroupWithoutEcho(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &hub{}
		b := h.begin(t, func(p *port) {
			p.receive.set(func(ctx context.Context, ready func(echoFunc), deliver func(string)) error {
				return p.listen(ctx, func(echoFunc) { ready(nil) }, deliver)
			})
		})
		settle(t, b)
		sent := len(h.messages(t))
		b.load(t, 1)
		time.Sleep(50 * time.Second)
		if !b.group.Healthy() || !b.has(1) || len(h.messages(t))-sent < 45 {
			t.Errorf("got up = %t, entry served = %t, %d messages in 50 s, want an instance that is up", b.group.Healthy(), b.has(1), len(h.messages(t))-sent)
		}
	})
}

// Instances send each other their marks, and report only higher ones.
func TestGroupMarks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		secret := []byte("the instances' secret")
		f := newFleet(t, 3, secret...)
		a, b, c := f.members[0], f.members[1], f.members[2]
		tell := func(m *member, mark uint64) {
			m.mark.Store(mark)
			time.Sleep(1100 * time.Millisecond)
			synctest.Wait()
		}
		b.mark.Store(4)
		tell(c, 4)
		tell(a, 3)
		tell(a, 5)
		tell(a, 2)
		tell(c, 9)
		if got := fmt.Sprint(a.marks, b.marks, c.marks); got != "[4 9] [5 9] [5]" {
			t.Errorf("reported marks: got %s, want [4 9] [5 9] [5]", got)
		}
		f.hub.send(cache.Message{Origin: []byte("another"), Seq: 1, Mark: 8}.Encode(secret...))
		tell(b, 12)
		f.hub.send(cache.Message{Origin: []byte("another"), Seq: 2, Mark: 10}.Encode(secret...))
		f.hub.send(cache.Message{Origin: []byte("a forger"), Seq: 1, Mark: 99}.Encode('x'))
		b.mark.Store(1) // b has sent the mark 12, so it still reports only marks above 12
		f.hub.send(cache.Message{Origin: []byte("another"), Seq: 3, Mark: 11}.Encode(secret...))
		synctest.Wait()
		if got := fmt.Sprint(b.marks); got != "[5 9]" {
			t.Errorf("reported marks: got %s, want no others, since none is above the instance's own", got)
		}
	})
}

// without a secret, a mark may be forged and is ignored.
func TestGroupMarksWithoutASecret(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, 2)
		f.hub.send(cache.Message{Origin: []byte("another"), Seq: 1, Mark: 1 << 62}.Encode())
		f.members[1].mark.Store(7)
		time.Sleep(1100 * time.Millisecond)
		synctest.Wait()
		if got := f.members[0].marks; len(got) > 0 {
			t.Errorf("reported marks: got %v, want none", got)
		}
	})
}
