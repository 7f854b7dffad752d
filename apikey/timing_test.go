package apikey_test

import (
	"bytes"
	"crypto/rand"
	"math"
	mathrand "math/rand/v2"
	"testing"
	"time"

	"github.com/keyhatch/keyhatch/apikey"
	"github.com/keyhatch/keyhatch/internal/testkit"
)

// T-11: the time to compare a MAC does not depend on where it differs. The test measures two
// classes of wrong MACs, which differ in the first and in the last character, in random
// order. Welch's t must stay below 10. The control stops at the first difference, and the
// test must detect it.
//
// The test measures time, so it needs KEYHATCH_SOAK. Another test checks, in every run, that
// the source compares no secret in variable time.
func TestMACComparisonTakesConstantTime(t *testing.T) {
	if !testkit.Soak() {
		t.Skip("measures time: set KEYHATCH_SOAK")
	}
	key, signed := make([]byte, 32), "acme_0123456789ABCDEFGHIJKLMNOPQRST"
	rand.Read(key)
	good := apikey.MACOf(key, signed)
	first, last := []byte(good), []byte(good)
	first[0], last[len(last)-1] = first[0]^1, last[len(last)-1]^1
	wrong := [2]string{string(first), string(last)}
	verify := apikey.NewMACVerifier(key)
	if got := leastT(1_000_000, func(class int) { verify(signed, wrong[class]) }); got >= 10 {
		t.Errorf("the time depends on where a MAC differs: |t| = %.1f, want < 10", got)
	}

	secret, guesses := bytes.Repeat([]byte{7}, 256), [2][]byte{}
	for class := range guesses {
		guesses[class] = bytes.Clone(secret)
		guesses[class][class*(len(secret)-1)]++
	}
	if got := leastT(1_000_000, func(class int) { compareUntilDifference(secret, guesses[class]) }); got < 10 {
		t.Errorf("control: |t| = %.1f for a comparison that ends at the first difference, want at least 10", got)
	}
}

//go:noinline
func compareUntilDifference(a, b []byte) bool {
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

// leastT measures f for two classes, n times each, and returns the absolute value of Welch's
// t. It returns the least of three runs, since other load on the machine may slow down one
// class once, but not three times.
func leastT(n int, f func(class int)) float64 {
	least := math.Inf(1)
	for range 3 {
		least = min(least, welch(n, f))
	}
	return least
}

func welch(n int, f func(class int)) float64 {
	const limit = 20 * time.Microsecond // longer calls were interrupted
	var count, mean, square [2]float64
	rng := mathrand.New(mathrand.NewPCG(1, 2))
	for count[0] < float64(n) || count[1] < float64(n) {
		class := rng.IntN(2)
		began := time.Now()
		f(class)
		took := time.Since(began)
		if took > limit {
			continue
		}
		count[class]++ // Welford's method
		delta := float64(took) - mean[class]
		mean[class] += delta / count[class]
		square[class] += delta * (float64(took) - mean[class])
	}
	variance := func(class int) float64 { return square[class] / (count[class] - 1) / count[class] }
	return math.Abs(mean[0]-mean[1]) / math.Sqrt(variance(0)+variance(1))
}
