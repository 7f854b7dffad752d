package cache

import (
	"encoding/base64"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

// messageVectors returns messages as instances of this version encode them. Other versions
// must be able to decode them.
func messageVectors(t testing.TB) (vectors []struct{ Name, Text string }) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "messages.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &vectors); err != nil || len(vectors) < 5 {
		t.Fatalf("got %d vectors from testdata/messages.json: %v", len(vectors), err)
	}
	return vectors
}

// sample returns the message of a vector.
func sample(name string) (m message, ok bool) {
	copy(m.origin[:], "an origin of 16.")
	copy(m.nonce[:], "a beat 8")
	m.seq, m.ago, m.next, m.size, m.mark = 11, 1500*time.Millisecond, 333*time.Second, 1000, 12
	names := func(n int, first byte) (names []Key) {
		for i := range n {
			var k Key
			for at := range k {
				k[at] = first + byte(i) + byte(at)
			}
			names = append(names, k)
		}
		return names
	}
	switch name {
	case "heartbeat":
		m.change = 7
	case "heartbeat after a failure":
		m.change, m.all = 8, true
	case "one key":
		m.change, m.keys = 1, names(1, 0)
	case "one group":
		m.change, m.tags = 1<<40, names(1, 100)
	case "keys and tags":
		m.change, m.all, m.keys, m.tags = 9, true, names(2, 1), names(3, 200)
	case "leaving":
		m.change, m.leaving = 10, true
	case "full":
		m.seq, m.ago, m.next = 1<<64-1, (1<<32-1)*time.Millisecond, (1<<32-1)*time.Millisecond
		m.size, m.mark = 1<<32-1, 1<<64-1
		m.change, m.keys, m.tags = 1<<64-1, names(60, 3), names(4, 9)
	default:
		return m, false
	}
	return m, true
}

// Each version must decode the messages of the previous one, since instances are replaced
// one by one.
func TestMessageVectors(t *testing.T) {
	for _, v := range messageVectors(t) {
		m, ok := sample(v.Name)
		if !ok {
			t.Errorf("vector %q has no known message", v.Name)
			continue
		}
		if got := m.encode(nil); got != v.Text {
			t.Errorf("%s: encoded: got %q, want %q", v.Name, got, v.Text)
		}
		if got, err := decode(v.Text, nil); err != nil || !reflect.DeepEqual(got, m) {
			t.Errorf("%s: decoded: got %+v, %v, want %+v", v.Name, got, err, m)
		}
	}
}

// C-12: no part of a damaged message is used.
func TestDamagedMessages(t *testing.T) {
	for _, v := range messageVectors(t) {
		refused := func(what, text string, at int) {
			t.Helper()
			if m, err := decode(text, nil); err == nil {
				t.Errorf("%s, %s at %d: got %+v, want an error", v.Name, what, at, m)
			}
		}
		for i := range v.Text {
			for bit := range 8 {
				flipped := []byte(v.Text)
				flipped[i] ^= 1 << bit
				refused("a bit flipped", string(flipped), 8*i+bit)
			}
			refused("cut off", v.Text[:i], i)
			refused("a character left out", v.Text[:i]+v.Text[i+1:], i)
			for _, more := range []string{"A", "\n", "\r", "=", " ", "\x00", "é"} {
				refused("a character put in", v.Text[:i]+more+v.Text[i:], i)
			}
		}
		for _, more := range []string{"A", "AA", "AAA", "AAAA", "=", "\n", "\r\n", v.Text, strings.Repeat("A", MaxMessage)} {
			refused("trailing data", v.Text+more, len(v.Text))
		}
	}
}

// C-16: a message that was encoded with another secret, or without one, is refused.
func TestForgedMessages(t *testing.T) {
	keys := [][]byte{nil, []byte("one"), []byte("two")}
	for _, v := range messageVectors(t) {
		m, _ := sample(v.Name)
		for i, made := range keys {
			for j, read := range keys {
				if _, err := decode(m.encode(made), read); (err == nil) != (i == j) {
					t.Errorf("%s: encoded with key %d, decoded with key %d: got %v", v.Name, i, j, err)
				}
			}
		}
	}
}

// A checksum can be forged, so the layout is checked too.
func TestForgedMessageLayouts(t *testing.T) {
	full, _ := sample("full")
	one, _ := sample("one key")
	bytesOf := func(m message) []byte {
		b, err := base64.RawURLEncoding.DecodeString(m.encode(nil))
		if err != nil {
			t.Fatal(err)
		}
		return b[:len(b)-macSize]
	}
	signed := func(b []byte) string {
		return messageText.EncodeToString(append(b, mac(nil, b)...))
	}
	with := func(b []byte, at int, v byte) []byte { b[at] = v; return b }
	set := func(m message, at int, v byte) []byte { return with(bytesOf(m), at, v) }
	if _, err := decode(signed(bytesOf(one)), nil); err != nil {
		t.Fatalf("unchanged, with a new checksum: %v", err)
	}
	for _, tt := range []struct {
		name string
		b    []byte
	}{
		{"version 0", set(one, 0, 0)},
		{"version 1", set(one, 0, 1)},
		{"version 3", set(one, 0, 3)},
		{"flags are 4", set(one, 61, 4)},
		{"a key too many", set(one, 62, 2)},
		{"a key too few", set(one, 62, 0)},
		{"a group too many", set(one, 63, 1)},
		{"65 names", append(set(full, 62, 61), make([]byte, 32)...)},
		{"255 and 255 names", append(with(set(full, 62, 255), 63, 255), make([]byte, 446*32)...)},
		{"half a name", append(bytesOf(one), make([]byte, 16)...)},
		{"no names", bytesOf(one)[:headSize]},
		{"half a head", bytesOf(one)[:headSize/2]},
		{"nothing", nil},
	} {
		if m, err := decode(signed(tt.b), nil); err == nil {
			t.Errorf("%s: got %+v, want an error", tt.name, m)
		}
	}
}

// The longest message has at most MaxMessage bytes.
func TestMessagesFit(t *testing.T) {
	full, _ := sample("full")
	if n := len(full.keys) + len(full.tags); n != maxNames {
		t.Fatalf("names in the full message: got %d, want %d", n, maxNames)
	}
	if n := len(full.encode(nil)); n > MaxMessage {
		t.Errorf("message of %d names: got %d bytes, want at most %d", maxNames, n, MaxMessage)
	}
}

// C-12: a string that can be decoded is the exact encoding of its message, and is bounded.
func FuzzMessage(f *testing.F) {
	seeds, err := os.ReadDir(filepath.Join("testdata", "fuzz", "FuzzMessage"))
	if err != nil || len(seeds) == 0 {
		f.Fatalf("FuzzMessage has no seeds: %v", err)
	}
	f.Fuzz(func(t *testing.T, text string) {
		// Few inputs have a valid checksum, so they get one.
		for _, text := range []string{text, withChecksum(text)} {
			m, err := decode(text, nil)
			if err != nil {
				continue
			}
			if n := len(m.keys) + len(m.tags); n > maxNames || len(text) > MaxMessage {
				t.Errorf("got %d names from %d bytes, want at most %d and %d", n, len(text), maxNames, MaxMessage)
			}
			if again := m.encode(nil); again != text {
				t.Errorf("%q was decoded, but is encoded as %q", text, again)
			}
			if m.changes() != (len(m.keys)+len(m.tags) > 0) || m.changes() && m.before() != m.change-1 || !m.changes() && m.before() != m.change {
				t.Errorf("%+v: %d changes came before this message, which contradicts its fields", m, m.before())
			}
		}
	})
}

// withChecksum replaces the last bytes of a message by the correct checksum.
func withChecksum(text string) string {
	b, err := messageText.DecodeString(text)
	if err != nil || len(b) < macSize {
		return text
	}
	b = b[:len(b)-macSize]
	return messageText.EncodeToString(append(b, mac(nil, b)...))
}
