//go:build !go1.26

package simulation_test

import "testing"

// seedRandom does nothing: before Go 1.26 the tokens of two runs differ, and with
// them the times at which entries expire.
func seedRandom(*testing.T, uint64) {}

const seedsRandom = false
