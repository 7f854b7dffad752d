package apikey_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/keyhatch/keyhatch/apikey"
	"github.com/keyhatch/keyhatch/internal/testkit"
	"github.com/keyhatch/keyhatch/store/memstore"
)

// macOracle computes the MAC as the format describes it.
func macOracle(key []byte, domain, signed string) string {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(domain + signed))
	n := binary.BigEndian.Uint64(mac.Sum(nil)[:8])
	var digits [8]byte
	for i := 7; i >= 0; i-- {
		digits[i], n = base62[n%62], n/62
	}
	return string(digits[:])
}

const macDomain = "keyhatch token tag v1\x00"

// macKeyOf returns a valid key of n bytes.
func macKeyOf(n int) []byte {
	key := make([]byte, n)
	_, _ = rand.Read(key)
	return key
}

// T-13, advisory 25 (CVE-2020-36569), advisory 26 (CVE-2020-13945): New refuses a MAC key
// that is missing, short or not random.
func TestBadMACKeys(t *testing.T) {
	t.Parallel()
	good, other := macKeyOf(32), macKeyOf(32)
	type ring struct {
		name string
		keys [][]byte
	}
	var bad []ring
	for n := range 32 {
		bad = append(bad, ring{fmt.Sprintf("%d bytes", n), [][]byte{macKeyOf(n)}})
	}
	for _, b := range []byte{0, 1, '0', 0xff} {
		for _, n := range []int{32, 64, 100} {
			bad = append(bad, ring{fmt.Sprintf("%d bytes of %#x", n, b), [][]byte{bytes.Repeat([]byte{b}, n)}})
		}
	}
	bad = append(bad,
		ring{"nil", [][]byte{nil}},
		ring{"repeated", [][]byte{good, good}},
		ring{"repeated copy", [][]byte{good, bytes.Clone(good)}},
		ring{"repeated after another key", [][]byte{good, other, good}},
		ring{"short in the second place", [][]byte{good, other[:31]}},
		ring{"nil in the second place", [][]byte{good, nil}},
		ring{"one repeated byte in the third key", [][]byte{good, other, make([]byte, 32)}},
	)
	for _, tt := range bad {
		m, err := apikey.New(memstore.New(), &apikey.Options{MACKeys: tt.keys})
		var invalid *apikey.InvalidError
		if m != nil || !errors.As(err, &invalid) || invalid.Field != "MACKeys" {
			t.Errorf("New with MACKeys of which one is %s: got %v, want an InvalidError of MACKeys", tt.name, err)
			continue
		}
		for _, key := range tt.keys {
			if len(key) > 3 && (strings.Contains(err.Error(), string(key)) || strings.Contains(err.Error(), fmt.Sprintf("%x", key))) {
				t.Errorf("%s: the error shows the key: %v", tt.name, err)
			}
		}
	}
	for _, n := range []int{32, 33, 63, 64, 65, 200} {
		newTokenFormat(t, "key", macKeyOf(n), macKeyOf(n))
	}
	// A key in which one byte differs is accepted.
	newTokenFormat(t, "key", append(make([]byte, 31), 1), append([]byte{1}, make([]byte, 31)...))
}

// The caller may wipe or reuse the MACKeys after New.
func TestMACKeysAreCopied(t *testing.T) {
	t.Parallel()
	key := macKeyOf(32)
	kept := bytes.Clone(key)
	ring := [][]byte{key}
	f := newTokenFormat(t, "key", ring...)
	clear(key)
	ring[0] = nil
	// Several goroutines, since a state that is created on demand would be created from the
	// cleared key.
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			token := f.Generate()
			if signed, mac := token[:34], token[34:42]; mac != macOracle(kept, macDomain, signed) {
				t.Errorf("the MAC of %q depends on the caller's changes of the key after New", token)
			}
		})
	}
	all.Wait()
}

// The MAC is HMAC-SHA-256 over its domain, the prefix and the random part.
func TestMACIsTheHMAC(t *testing.T) {
	t.Parallel()
	for _, n := range []int{32, 64, 65, 200} {
		key := macKeyOf(n)
		f := newTokenFormat(t, "acme_live", key, macKeyOf(32))
		for range testkit.Trials(500, 100_000) {
			token := f.Generate()
			end := len(token) - 14
			signed, mac, sum := token[:end], token[end:end+8], token[end+8:]
			if want := macOracle(key, macDomain, signed); mac != want {
				t.Fatalf("MAC of %q under the first key = %q, want %q", signed, mac, want)
			}
			if want := checksumOracle(signed + mac); sum != want {
				t.Fatalf("checksum of %q = %q, want %q, which covers the MAC", signed+mac, sum, want)
			}
			if !f.Accepts(token) {
				t.Fatalf("%q, just made, is refused", token)
			}
		}
	}
}

// Every wrong MAC is refused, even with a right checksum.
func TestWrongMACs(t *testing.T) {
	t.Parallel()
	key := macKeyOf(32)
	f := newTokenFormat(t, "key", key)
	for range testkit.Trials(200, 50_000) {
		token := f.Generate()
		signed, mac := token[:34], token[34:42]
		try := func(name, forged string) {
			t.Helper()
			body := signed + forged
			if forged != mac && f.Accepts(body+checksumOracle(body)) {
				t.Errorf("%s: got MAC %q accepted, want only %q", name, forged, mac)
			}
		}
		for i := range mac {
			for _, c := range base62 {
				try("one digit changed", mac[:i]+string(c)+mac[i+1:])
			}
		}
		try("the zero MAC", "00000000")
		try("the last MAC", "zzzzzzzz")
		try("no MAC", "")
		try("half a MAC", mac[:4])
		try("the MAC twice", mac+mac)
		try("another key's MAC", macOracle(macKeyOf(32), macDomain, signed))
		try("the MAC without its domain", macOracle(key, "", signed))
		try("the MAC of the next version", macOracle(key, "keyhatch token tag v2\x00", signed))
		try("another token's MAC", f.Generate()[34:42])
		if !apikey.VerifyMAC(key, signed, mac) || apikey.VerifyMAC(key, signed, mac[:7]) || apikey.VerifyMAC(key, signed, "") {
			t.Errorf("MAC %q of %q is refused, or a part of it is accepted", mac, signed)
		}
	}
}

// T-12: no token is refused during three rotations of the MAC key. The tokens of a removed
// MAC key are refused.
func TestMACKeyRotatedThreeTimes(t *testing.T) {
	t.Parallel()
	st := memstore.New()
	keys := [][]byte{macKeyOf(32), macKeyOf(32), macKeyOf(48), macKeyOf(64)}
	var current atomic.Pointer[apikey.Manager]
	var mu sync.Mutex
	var issued []apikey.Issued
	put := func(ring ...[]byte) {
		m := newManager(t, st, &apikey.Options{MACKeys: ring, MaxKeysPerOwner: -1})
		current.Store(m)
		for range 20 {
			i := create(t, m, "o")
			mu.Lock()
			issued = append(issued, i)
			mu.Unlock()
		}
	}
	put(keys[0])
	snapshot := func() []apikey.Issued {
		mu.Lock()
		defer mu.Unlock()
		return issued
	}
	var requests, refused atomic.Int64
	var load sync.WaitGroup
	stop := make(chan struct{})
	for range 4 {
		load.Go(func() {
			for {
				for _, i := range snapshot() {
					requests.Add(1)
					if _, err := current.Load().Validate(t.Context(), i.Secret.Reveal()); err != nil {
						refused.Add(1)
					}
				}
				select {
				case <-stop:
					return
				default:
					pause()
				}
			}
		})
	}
	for n := 1; n < len(keys); n++ {
		// With many instances, all of them must accept the new key before any uses it.
		put(append([][]byte{keys[n-1], keys[n]}, keys[:n-1]...)...)
		ring := [][]byte{}
		for i := n; i >= 0; i-- {
			ring = append(ring, keys[i])
		}
		put(ring...)
		for enough := requests.Load() + 4*int64(len(issued)); requests.Load() < enough; {
			pause()
		}
	}
	close(stop)
	load.Wait()
	if n := refused.Load(); n != 0 {
		t.Errorf("got %d of %d requests refused during three rotations, want 0", n, requests.Load())
	}
	for _, i := range issued {
		wantValid(t, current.Load(), i)
	}
	// After the removal of a MAC key, only its tokens are refused.
	for retired := range keys {
		var ring [][]byte
		for n, key := range keys {
			if n != retired {
				ring = append(ring, key)
			}
		}
		m := newManager(t, st, &apikey.Options{MACKeys: ring, MaxKeysPerOwner: -1})
		for _, i := range issued {
			token := i.Secret.Reveal()
			if token[34:42] == macOracle(keys[retired], macDomain, token[:34]) {
				wantRefused(t, m, i, apikey.ErrMalformed)
			} else {
				wantValid(t, m, i)
			}
		}
	}
}

// T-14, advisory 27 (CVE-2023-35941): the input of a MAC is unambiguous, so a token is not
// valid if its characters are split differently.
func TestMACInputIsUnambiguous(t *testing.T) {
	t.Parallel()
	key := macKeyOf(32)
	prefixes := []string{"ab", "abc", "abcd", "ab_c", "ab_cd", "abcdefghij", "ab_cd_ef", "a0", "a0_b", "abcdefghij0123456789"}
	formats := map[string]apikey.TokenFormat{}
	for _, p := range prefixes {
		formats[p] = newTokenFormat(t, p, key)
	}
	tried := 0
	for range testkit.Trials(100, 20_000) {
		for _, from := range prefixes {
			token := formats[from].Generate()
			signed, mac := token[:len(token)-14], token[len(token)-14:len(token)-6]
			random := signed[len(from)+1:]
			for _, to := range prefixes {
				for name, body := range map[string]string{
					"the same random part":               to + "_" + random + mac,
					"the prefix moved into the random":   to + "_" + (from + random)[:30] + mac,
					"random and MAC moved by one":        to + "_" + random[1:] + mac + random[:1],
					"the MAC before the random part":     to + "_" + mac + random,
					"the last of the prefix as random":   to + "_" + (from[len(from)-1:] + random)[:30] + mac,
					"the other prefix's MAC of its body": to + "_" + random + apikey.MACOf(key, from+"_"+random),
				} {
					if strings.Count(body[len(to)+1:], "_") > 0 || body == signed+mac {
						continue
					}
					tried++
					if formats[to].Accepts(body + checksumOracle(body)) {
						t.Errorf("a token of %q is valid for %q with %s", from, to, name)
					}
				}
			}
		}
	}
	if tried < 1_000 {
		t.Errorf("got only %d splits tried, so this test tests too little", tried)
	}
}

// T-14: different inputs have different MACs. Two random MACs are equal with a probability of one
// in 62^8. Among 20,000 MACs, two are equal by chance about once in a million runs, so the test
// compares no more than 20,000 with each other.
func TestMACsOfDifferentInputsDiffer(t *testing.T) {
	t.Parallel()
	key := macKeyOf(32)
	seen := map[string]string{}
	for range testkit.Trials(20_000, 1_000_000) {
		random := make([]byte, 30)
		for i := range random {
			random[i] = base62[mathrand.IntN(62)]
		}
		signed := "acme_" + string(random)
		mac := apikey.MACOf(key, signed)
		if other, ok := seen[mac]; ok && other != signed && len(seen) < 20_000 {
			t.Errorf("%q and %q have the same MAC", signed, other)
		}
		if len(seen) < 20_000 {
			seen[mac] = signed
		}
		i := 5 + mathrand.IntN(30)
		if near := signed[:i] + string(base62[mathrand.IntN(62)]) + signed[i+1:]; near != signed && apikey.MACOf(key, near) == mac {
			t.Errorf("%q and %q have the same MAC", signed, near)
		}
	}
}

// With MACKeys the form without a MAC is refused, since a forger would use it. Without
// MACKeys the form with a MAC is still accepted.
func TestMACCannotBeLeftOff(t *testing.T) {
	t.Parallel()
	st := &spyStore{Store: memstore.New()}
	withMAC, plain := newTokenFormat(t, "key", macKeyOf(32)), newTokenFormat(t, "key")
	m := newManager(t, st, &apikey.Options{MACKeys: [][]byte{macKeyOf(32)}})
	for range 100 {
		token := plain.Generate()
		if withMAC.Accepts(token) {
			t.Errorf("%q, without a MAC, is accepted although MACKeys are set", token)
		}
		if _, err := m.Validate(t.Context(), token); !errors.Is(err, apikey.ErrMalformed) {
			t.Errorf("Validate of a token without a MAC: got %v, want ErrMalformed", err)
		}
		stripped := withMAC.Generate()[:34]
		if stripped += checksumOracle(stripped); withMAC.Accepts(stripped) {
			t.Errorf("%q, without its MAC, is accepted", stripped)
		}
		if full := withMAC.Generate(); !plain.Accepts(full) {
			t.Errorf("%q is refused after MACKeys were removed", full)
		}
	}
	if n := st.lookups.Load(); n != 0 {
		t.Errorf("tokens without a MAC that reached the store: got %d, want 0", n)
	}
}

// MACs may be computed and verified in many goroutines at once.
func TestMACsInParallel(t *testing.T) {
	t.Parallel()
	key := macKeyOf(32)
	f := newTokenFormat(t, "key", key, macKeyOf(32))
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 500 {
				token := f.Generate()
				if token[34:42] != macOracle(key, macDomain, token[:34]) || !f.Accepts(token) {
					t.Errorf("%q was generated or verified with another goroutine's state", token)
				}
			}
		})
	}
	all.Wait()
}
