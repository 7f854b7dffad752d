package cache

import (
	"testing"
	"time"
)

// If there are more instances than can be tracked, entries are not marked stale repeatedly:
// they only expire earlier.
func TestUntrackedPeersMarkNothingStale(t *testing.T) {
	now := time.Now()
	p := peers{ready: now, known: map[origin]peer{}}
	missed, silent := 0, false
	for second := range uint64(30) {
		now = now.Add(heartbeat)
		for i := range maxPeers + 100 {
			m := message{origin: origin{byte(i), byte(i >> 8)}, seq: second + 1, change: second + 1, ago: heartbeat, next: heartbeat, keys: []Key{{}}}
			if p.receive(m, now) {
				missed++
			}
		}
		silent = p.review(now)
	}
	if missed > 0 || !silent || p.size != maxPeers+1 {
		t.Errorf("got %d missed messages, silent = %t and %d instances, want 0, true because of the untracked instances, and %d", missed, silent, p.size, maxPeers+1)
	}
}

// The number of heartbeats per second is bounded, and a few instances use the shortest
// interval.
func TestHeartbeatInterval(t *testing.T) {
	for _, tt := range []struct {
		size int
		want time.Duration
	}{
		{0, time.Second}, {1, time.Second}, {10, time.Second}, {50, time.Second},
		{100, 4 * time.Second}, {1000, 400 * time.Second}, {maxPeers, 6710 * time.Second},
	} {
		if got := (&peers{fleet: tt.size}).interval(); got < tt.want || got > tt.want+time.Second {
			t.Errorf("heartbeat interval of %d instances: got %v, want about %v", tt.size, got, tt.want)
		}
	}
}

// An instance that has just started knows only a few others, and so has a short interval.
// The heartbeats of a large fleet are rarer. They are not late once the instance knows the
// fleet, whether messages are authenticated or not.
func TestPeersOfALargeFleet(t *testing.T) {
	for _, unsigned := range []bool{false, true} {
		now := time.Now()
		p := peers{ready: now, known: map[origin]peer{}, unsigned: unsigned}
		const size = 500
		for i := range size {
			p.receive(message{origin: origin{byte(i), byte(i >> 8)}, seq: 1, next: 100 * time.Second, size: size}, now)
		}
		if p.review(now.Add(100 * time.Second)) {
			t.Errorf("unsigned = %t: an instance counts as silent before its heartbeat is due", unsigned)
		}
		if !p.review(now.Add(103 * time.Second)) {
			t.Errorf("unsigned = %t: no instance counts as silent although all heartbeats are late", unsigned)
		}
	}
}
