package cache_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/keyhatch/keyhatch/cache"
)

// if a broker is split, each instance receives its own echoes and Publish succeeds.
// Only the missing heartbeats of other instances show the split.
func TestGroupSilentPeer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &hub{}
		a, b := h.connect(t), h.connect(t)
		settle(t, a, b)
		b.load(t, 1)
		a.port.publish.set(func(context.Context, string, func(string)) error { return nil }) // reaches no instance
		if got := b.waitGone(1); got > 3*time.Second+time.Second {
			t.Errorf("entry after another instance became silent: served for %v, want at most 4 s", got)
		}
		b.load(t, 2)
		if got := b.waitGone(2); got > cache.AloneTTL || got < 8*time.Second {
			t.Errorf("entry while another instance is silent: served for %v, want 9 to 10 s", got)
		}
		a.port.publish.reset()
		time.Sleep(3 * time.Second)
		b.load(t, 3)
		time.Sleep(50 * time.Second)
		if !b.has(3) {
			t.Error("an entry expired within 50 s although the other instance sends again, want the TTL of a minute")
		}
	})
}

// An instance that crashed is no longer tracked after a while. An instance that leaves has no
// effect on the others if its message is authenticated.
func TestGroupPeerThatIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &hub{key: []byte("key")}
		a, b, c := h.connect(t), h.connect(t), h.connect(t)
		settle(t, a, b, c)
		b.load(t, 1)
		marks := b.StaleMarks.Load()
		if err := c.group.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(50 * time.Second)
		if !b.has(1) || b.StaleMarks.Load() != marks {
			t.Error("an instance that has left ended entries of another one")
		}
		a.port.publish.set(func(context.Context, string, func(string)) error { return nil })
		time.Sleep(6 * time.Minute)
		b.load(t, 2)
		time.Sleep(50 * time.Second)
		if !b.has(2) {
			t.Error("an entry expired within 50 s, six minutes after the last heartbeat of another instance, want the TTL of a minute")
		}
	})
}

// If the first message of an instance arrives soon after the connection was made, the instance
// may have sent earlier messages. With many such instances, all entries are still marked stale
// only once.
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
		marks := b.StaleMarks.Load()
		b.port.cut()
		settle(t, b)
		if n := b.StaleMarks.Load() - marks; n != 1 {
			t.Errorf("entries marked stale after one reconnection among 20 instances: got %d times, want once", n)
		}
	})
}

// A bus that never comes up is reported once.
func TestGroupNeverUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &hub{}
		b := h.begin(t, func(p *port) {
			p.receive.set(func(context.Context, func(echoFunc), func(string)) error { return errRefused })
		})
		time.Sleep(time.Minute)
		synctest.Wait()
		if len(b.reports) != 1 || !isRefused(b.reports[0]) {
			t.Errorf("reports of a bus that never came up: got %v, want its error, once", b.reports)
		}
		b.port.receive.reset()
		settle(t, b)
		if len(b.reports) != 2 || b.reports[1] != nil {
			t.Errorf("reports: got %v, want the error, then up", b.reports)
		}
	})
}

// a connection to the other half of a split broker is noticed, since the instances
// that were known before are silent there.
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
			t.Errorf("entry of an instance that has lost all others: served for %v, want 9 to 10 s", got)
		}
	})
}
