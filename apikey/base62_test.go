package apikey

import (
	"strings"
	"testing"
)

// T-05: isBase62 accepts exactly the characters of the alphabet, at every position of strings of
// every length.
func TestIsBase62(t *testing.T) {
	for length := 1; length <= 44; length++ {
		good := strings.Repeat("aZ09", 11)[:length]
		if !isBase62(good) {
			t.Errorf("isBase62(%q): got false", good)
		}
		for i := range length {
			for c := range 256 {
				s := good[:i] + string([]byte{byte(c)}) + good[i+1:]
				if got, want := isBase62(s), strings.IndexByte(base62, byte(c)) >= 0; got != want {
					t.Fatalf("isBase62(%q): got %t, want %t", s, got, want)
				}
			}
		}
	}
}
