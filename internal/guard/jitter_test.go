package guard_test

import (
	"testing"
	"time"

	"github.com/keyhatch/keyhatch/internal/guard"
)

func TestJitter(t *testing.T) {
	t.Parallel()
	seen := map[time.Duration]bool{}
	for range 1000 {
		d := guard.Jitter(4)
		if seen[d] = true; d < 0 || d >= 4 {
			t.Fatalf("Jitter(4) = %d, want 0 to 3", d)
		}
	}
	if len(seen) != 4 {
		t.Errorf("Jitter(4) returned %v, want 0 to 3", seen)
	}
	if d := guard.Jitter(0) + guard.Jitter(-1); d != 0 {
		t.Errorf("Jitter(0) and Jitter(-1): got a sum of %v, want 0", d)
	}
}
