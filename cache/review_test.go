package cache

import (
	"testing"
	"time"
)

// C-16: an instance is silent from the instant at which its heartbeat is due, even if that
// is the instant of the review.
func TestSilentOnceDue(t *testing.T) {
	now := time.Now()
	p := peers{known: map[origin]peer{{1}: {due: now.Add(time.Second), gone: now.Add(time.Hour)}}}
	if p.review(now) {
		t.Error("an instance counts as silent before its message is due")
	}
	p.countAsSilent(origin{1}, now, time.Minute)
	if !p.review(now) {
		t.Error("an instance does not count as silent right after an unauthenticated leave message")
	}
}
