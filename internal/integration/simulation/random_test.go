package simulation_test

import (
	"crypto/rand"
	"io"
	mathrand "math/rand/v2"
	"sync"
	"testing"
	"time"
)

// A seeded reader replaces crypto/rand. Its bytes depend on the seed, the time and the number
// of bytes, and not on the order of the callers, which the scheduler decides.
type seeded struct {
	seed uint64

	mu    sync.Mutex
	at    time.Time
	asked map[int]uint64 // reads at that time, by length
}

// seedRandom replaces crypto/rand until the test ends. The test must not be parallel.
func seedRandom(t *testing.T, seed uint64) {
	var before io.Reader
	before, rand.Reader = rand.Reader, &seeded{seed: seed}
	t.Cleanup(func() { rand.Reader = before })
}

func (s *seeded) Read(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now := time.Now(); !now.Equal(s.at) {
		s.at, s.asked = now, map[int]uint64{}
	}
	s.asked[len(b)]++
	source := mathrand.NewPCG(s.seed<<16|uint64(len(b)), uint64(s.at.UnixNano())<<8+s.asked[len(b)])
	for i := range b {
		b[i] = byte(source.Uint64() >> 32)
	}
	return len(b), nil
}
