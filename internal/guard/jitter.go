package guard

import (
	"crypto/rand"
	"encoding/binary"
	"time"
)

// Jitter returns a random duration in [0, d), or 0 if d is not positive. It keeps
// instances that started together from acting in step.
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
