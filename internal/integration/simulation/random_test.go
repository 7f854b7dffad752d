package simulation_test

import (
	"crypto/rand"
	"fmt"
	"hash/fnv"
	"io"
	mathrand "math/rand/v2"
	"runtime"
	"sync"
	"testing"
	"time"
)

// A seeded reader replaces crypto/rand. Its bytes depend on the seed, the time and the calling
// code. They do not depend on calls by other goroutines at the same time, since the scheduler
// decides the order of these calls.
type seeded struct {
	seed uint64

	mu    sync.Mutex
	at    time.Time
	asked map[uint64]uint64 // reads at that time, by caller
}

// seedRandom replaces crypto/rand until the test ends. The test must not be parallel.
func seedRandom(t *testing.T, seed uint64) {
	var before io.Reader
	before, rand.Reader = rand.Reader, &seeded{seed: seed}
	t.Cleanup(func() { rand.Reader = before })
}

func (s *seeded) Read(b []byte) (int, error) {
	from := caller()
	s.mu.Lock()
	defer s.mu.Unlock()
	if now := time.Now(); !now.Equal(s.at) {
		s.at, s.asked = now, map[uint64]uint64{}
	}
	if len(b) != 8 { // random pauses and nonces take eight bytes, and may be equal
		s.asked[from]++
	}
	source := mathrand.NewPCG(s.seed<<16|uint64(len(b)), uint64(s.at.UnixNano())<<8+s.asked[from]^from)
	for i := range b {
		b[i] = byte(source.Uint64() >> 32)
	}
	return len(b), nil
}

// caller returns a number that identifies the calling code, with its own callers.
func caller() uint64 {
	var stack [64]uintptr
	frames, h := runtime.CallersFrames(stack[:runtime.Callers(2, stack[:])]), fnv.New64a()
	for {
		f, more := frames.Next()
		fmt.Fprintln(h, f.Function, f.Line)
		if !more {
			return h.Sum64()
		}
	}
}
