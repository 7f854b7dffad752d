package cache

import (
	"testing"
	"time"
)

// More instances than can be told apart are no reason to doubt everything, again
// and again: lives are shorter, and that is all.
func TestManyPeersAreNoCliff(t *testing.T) {
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
		t.Errorf("%d messages missed, silent: %t, %d instances counted, want none missed, and lives that are limited by the ones that are not counted", missed, silent, p.size)
	}
}

// What all instances deliver together is bounded, and the fewest are as quick as
// can be.
func TestHeartbeatInterval(t *testing.T) {
	for _, tt := range []struct {
		size int
		want time.Duration
	}{
		{0, time.Second}, {1, time.Second}, {10, time.Second}, {50, time.Second},
		{100, 4 * time.Second}, {1000, 400 * time.Second}, {maxPeers, 6710 * time.Second},
	} {
		if got := (&peers{fleet: tt.size}).interval(); got < tt.want || got > tt.want+time.Second {
			t.Errorf("%d instances: every %v, want about %v", tt.size, got, tt.want)
		}
	}
}
