//go:build go1.26

package simulation_test

import (
	"testing"
	"testing/cryptotest"
)

// seedRandom makes crypto/rand return what the seed decides, so that the tokens
// and ids of two runs are the same.
func seedRandom(t *testing.T, seed uint64) { cryptotest.SetGlobalRandom(t, seed) }

const seedsRandom = true
