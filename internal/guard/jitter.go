package guard

import (
	"crypto/rand"
	"encoding/binary"
	"time"
)

// Jitter returns a random duration from 0 to just below d, or 0 if d is not
// positive. It keeps instances that began together from staying in step.
//
// It uses crypto/rand, so that a test that seeds crypto/rand repeats a run exactly.
func Jitter(d time.Duration) time.Duration {
	if d <= 0 {
		return 0
	}
	var b [8]byte
	rand.Read(b[:])
	return time.Duration(binary.LittleEndian.Uint64(b[:]) % uint64(d))
}
