package testkit

import (
	"testing"
	"time"
)

// Await waits until done returns true. It fails the test after a minute, which is longer
// than a busy machine needs.
func Await(tb testing.TB, what string, done func() bool) {
	tb.Helper()
	for deadline := time.Now().Add(time.Minute); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			tb.Fatalf("timed out after a minute waiting until %s", what)
		}
	}
}
