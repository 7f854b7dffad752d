package cache_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/keyhatch/keyhatch/cache"
)

// where a broker is in two halves each instance hears itself, and Publish
// succeeds. That others have fallen silent shows it.
func TestGroupSilentPeer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &hub{}
		a, b := h.connect(t), h.connect(t)
		settle(t, a, b)
		b.load(t, 1)
		a.port.publish.set(func(context.Context, string, func(string)) error { return nil }) // to nobody here
		if got := b.waitGone(1); got > 3*time.Second+time.Second {
			t.Errorf("an entry was served for %v after another instance had fallen silent, want 4 s at most", got)
		}
		b.load(t, 2)
		if got := b.waitGone(2); got > cache.AloneTTL || got < 8*time.Second {
			t.Errorf("while another instance is silent an entry was served for %v, want 9 to 10 s", got)
		}
		a.port.publish.mend()
		time.Sleep(3 * time.Second)
		b.load(t, 3)
		time.Sleep(50 * time.Second)
		if !b.has(3) {
			t.Error("an entry has ended within 50 s though the other instance is heard again, want the TTL of a minute")
		}
	})
}

// One that crashed is forgotten after a while, and one that said farewell at
// once, unless anyone could have said it.
func TestGroupPeerThatIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &hub{key: []byte("key")}
		a, b, c := h.connect(t), h.connect(t), h.connect(t)
		settle(t, a, b, c)
		b.load(t, 1)
		doubts := b.StaleMarks.Load()
		if err := c.group.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(50 * time.Second)
		if !b.has(1) || b.StaleMarks.Load() != doubts {
			t.Error("an instance that ended by itself has ended entries of another")
		}
		a.port.publish.set(func(context.Context, string, func(string)) error { return nil })
		time.Sleep(6 * time.Minute)
		b.load(t, 2)
		time.Sleep(50 * time.Second)
		if !b.has(2) {
			t.Error("an entry has ended within 50 s, six minutes after another instance was last heard, want the TTL of a minute")
		}
	})
}

// An instance whose first message arrives soon after the connection was made may have
// sent others before. That does not mark all entries stale once for each instance.
func TestGroupReconnectsToMany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &hub{}
		b := h.connect(t)
		for range 20 {
			if err := h.connect(t).group.Publish(t.Context(), keyOf(0)); err != nil {
				t.Fatal(err)
			}
		}
		settle(t, b)
		doubts := b.StaleMarks.Load()
		b.port.cut()
		settle(t, b)
		if n := b.StaleMarks.Load() - doubts; n != 1 {
			t.Errorf("%d doubts after one reconnection among 20 instances, want that of the connection", n)
		}
	})
}

// A bus that cannot be used from the beginning is reported, once.
func TestGroupNeverUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &hub{}
		b := h.begin(t, func(p *port) {
			p.receive.set(func(context.Context, func(echoFunc), func(string)) error { return errRefused })
		})
		time.Sleep(time.Minute)
		synctest.Wait()
		if len(b.reports) != 1 || !isRefused(b.reports[0]) {
			t.Errorf("a bus that never came up was reported as %v, want its error, once", b.reports)
		}
		b.port.receive.mend()
		settle(t, b)
		if len(b.reports) != 2 || b.reports[1] != nil {
			t.Errorf("reports %v, want the error, then that it is up", b.reports)
		}
	})
}

// a connection that leads to the other half of a broker is noticed, since
// those who were known before are silent there.
func TestGroupReconnectsToTheOtherHalf(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, half := &hub{}, &port{hub: &hub{}}
		a, b := h.connect(t), h.connect(t)
		settle(t, a, b)
		b.port.receive.set(half.listen)
		b.port.publish.set(func(_ context.Context, message string, send func(string)) error {
			half.hub.send(message)
			return nil
		})
		b.port.cut()
		settle(t, b)
		time.Sleep(3 * time.Second)
		b.load(t, 1)
		if got := b.waitGone(1); got > cache.AloneTTL || got < 8*time.Second {
			t.Errorf("an entry was served for %v by an instance that has lost all others, want 9 to 10 s", got)
		}
	})
}
