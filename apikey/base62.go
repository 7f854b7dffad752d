package apikey

import "crypto/rand"

const base62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// isBase62 says which bytes are in the alphabet.
var isBase62 = func() (table [256]bool) {
	for i := range len(base62) {
		table[base62[i]] = true
	}
	return table
}()

// randomBase62 returns n characters, each with the same probability.
func randomBase62(n int) string {
	return string(appendRandom(make([]byte, 0, n), n))
}

// appendRandom takes 6 bits at a time and drops the two of 64 values that
// would make some characters likelier than others.
func appendRandom(b []byte, n int) []byte {
	var pool [48]byte
	for n > 0 {
		// Never fails: it ends the program where the system has no randomness.
		_, _ = rand.Read(pool[:])
		for _, r := range pool {
			if r >>= 2; r < 62 && n > 0 {
				b = append(b, base62[r])
				n--
			}
		}
	}
	clear(pool[:])
	return b
}

// putBase62 fills b with the last digits of v, with zeros before them.
func putBase62(b []byte, v uint64) {
	for i := len(b) - 1; i >= 0; i-- {
		b[i] = base62[v%62]
		v /= 62
	}
}
