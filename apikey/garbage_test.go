package apikey_test

import (
	"crypto/rand"
	"errors"
	"fmt"
	"hash/crc32"
	mathrand "math/rand/v2"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/keyhatch/keyhatch/apikey"
	"github.com/keyhatch/keyhatch/internal/testkit"
	"github.com/keyhatch/keyhatch/store/memstore"
)

const base62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// A forger generates tokens of the right form with a right checksum. It reuses a buffer,
// to be as fast as an attacker.
type forger struct {
	rng    *mathrand.Rand
	buf    []byte
	prefix string
	random int // characters before the checksum
}

func newForger(prefix string, withMAC bool) *forger {
	var seed [32]byte
	_, _ = rand.Read(seed[:])
	f := &forger{rng: mathrand.New(mathrand.NewChaCha8(seed)), prefix: prefix + "_", random: 30}
	if withMAC {
		f.random = 38
	}
	return f
}

func (f *forger) forge() string {
	f.buf = append(f.buf[:0], f.prefix...)
	for range f.random {
		f.buf = append(f.buf, base62[f.rng.IntN(62)])
	}
	sum := crc32.ChecksumIEEE(f.buf)
	var digits [6]byte
	for i := 5; i >= 0; i-- {
		digits[i] = base62[sum%62]
		sum /= 62
	}
	return string(append(f.buf, digits[:]...))
}

func (f *forger) noise() string {
	b := make([]byte, f.rng.IntN(80))
	for i := range b {
		b[i] = byte(f.rng.Uint32())
	}
	return string(b)
}

func macKey(b byte) []byte { return []byte(strings.Repeat(string(rune('a'+b))+"0123456", 4)) }

// Invariant 7, T-07, T-08, C-08, advisory 17 (CVE-2024-21652): garbage does not reach the
// store, does not use more memory and does not evict known keys. Half of the tokens are
// noise. The others have a right checksum, so that only the MAC shows that they are
// forged.
func TestGarbageFlood(t *testing.T) {
	n := testkit.Trials(300_000, 10_000_000)
	st := &spyStore{Store: memstore.New()}
	m := newManager(t, st, &apikey.Options{MACKeys: [][]byte{macKey(0)}, MaxKeysPerOwner: -1})
	hot := make([]string, 1_000)
	for i := range hot {
		hot[i] = create(t, m, "o").Secret.Reveal()
	}
	// ristretto may drop a value, or accept it with a delay.
	warm := int64(-1)
	for tries := 0; warm != st.lookups.Load() && tries < 100; tries++ {
		warm = st.lookups.Load()
		for _, token := range hot {
			if _, err := m.Validate(t.Context(), token); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(10 * time.Millisecond)
	}
	f := newForger("key", true)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	began := time.Now()
	for i := range n {
		token := f.forge()
		if i%2 == 0 {
			token = f.noise()
		}
		if _, err := m.Validate(t.Context(), token); !errors.Is(err, apikey.ErrUnauthenticated) {
			t.Fatalf("Validate(%q) = %v", token, err)
		}
		if _, err := m.Validate(t.Context(), hot[i%len(hot)]); err != nil {
			t.Fatalf("a known key during the flood: %v", err)
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	grown := int64(after.HeapAlloc) - int64(before.HeapAlloc)
	reads := st.lookups.Load() - warm
	t.Logf("%d garbage tokens: %d store reads, known keys served from the cache %.3f %%, heap grew by %d KiB",
		n, reads, 100-100*float64(reads)/float64(n), grown>>10)
	// Every read would be a known key that was evicted, or a forgery with a guessed
	// MAC. In a long flood, known keys reach their CacheTTL.
	if took := time.Since(began); reads > int64(len(hot))*int64(took/(54*time.Second)) {
		t.Errorf("got %d store reads in %v, want only reads of known keys that reached their CacheTTL", reads, took)
	}
	if grown > 64<<20 {
		t.Errorf("growth of the heap: got %d MiB, want less than 64", grown>>20)
	}
}

// T-09: a right MAC does not make a token valid.
func TestMACNeverAdmits(t *testing.T) {
	keys := &apikey.Options{MACKeys: [][]byte{macKey(0)}}
	issuer, empty := newManager(t, memstore.New(), keys), newManager(t, memstore.New(), keys)
	for i := range testkit.Trials(300, 1_000_000) {
		wantRefused(t, empty, create(t, issuer, fmt.Sprint("o", i)), apikey.ErrUnknown)
	}
	down := newManager(t, &spyStore{Store: memstore.New(), before: func(string) error { return errDown }}, keys)
	wantRefused(t, down, create(t, issuer, "o"), apikey.ErrUnavailable)
}

// T-12: tokens stay valid while MAC keys are replaced.
func TestMACKeyRotation(t *testing.T) {
	st := memstore.New()
	with := func(keys ...[]byte) *apikey.Manager {
		return newManager(t, st, &apikey.Options{MACKeys: keys, MaxKeysPerOwner: -1})
	}
	first := create(t, with(macKey(0)), "o")
	second := create(t, with(macKey(1), macKey(0)), "o")
	for name, m := range map[string]*apikey.Manager{
		"both": with(macKey(1), macKey(0)), "no MACs any more": with(),
	} {
		t.Log(name)
		wantValid(t, m, first)
		wantValid(t, m, second)
	}
	retired := with(macKey(1))
	wantValid(t, retired, second)
	wantRefused(t, retired, first, apikey.ErrMalformed)
}

// T-17: MACs can be introduced in a running system. Earlier tokens are accepted if their
// checksum is right. Forgeries without a MAC and with a wrong checksum do not reach the
// store, even if a legacy format matches them.
func TestTurningMACsOn(t *testing.T) {
	t.Parallel()
	st := &spyStore{Store: memstore.New()}
	old := create(t, newManager(t, st, nil), "o")
	with := func(accept bool, formats ...string) *apikey.Manager {
		return newManager(t, st, &apikey.Options{MACKeys: [][]byte{macKey(0)}, AcceptWithoutMAC: accept, LegacyFormats: patterns(formats...), MaxKeysPerOwner: -1})
	}
	wantRefused(t, with(false), old, apikey.ErrMalformed)
	for name, m := range map[string]*apikey.Manager{
		"accepting": with(true), "accepting, a legacy format of the prefix": with(true, `key_[0-9A-Za-z]+`, `.+`),
		"a legacy format of the prefix": with(false, `key_[0-9A-Za-z]{36}`, `.+`),
	} {
		if accept := strings.HasPrefix(name, "accepting"); accept {
			wantValid(t, m, old)
		} else {
			wantRefused(t, m, old, apikey.ErrMalformed)
		}
		wantValid(t, m, create(t, m, "o"))
		before := st.lookups.Load()
		for _, f := range []*forger{newForger("key", false), newForger("key", true)} {
			for range testkit.Trials(5_000, 500_000) {
				b := []byte(f.forge())
				b[len(b)-1] = base62[(strings.IndexByte(base62, b[len(b)-1])+1)%62] // its checksum
				if _, err := m.Validate(t.Context(), string(b)); !errors.Is(err, apikey.ErrMalformed) {
					t.Fatalf("%s: Validate(%q) = %v, want ErrMalformed", name, b, err)
				}
			}
		}
		if n := st.lookups.Load() - before; n != 0 {
			t.Errorf("%s: got %d forgeries with a wrong checksum in the store, want 0", name, n)
		}
	}
}

// T-15: a key of one environment is not valid in another, even with the same store.
func TestPrefixesAreApart(t *testing.T) {
	st := memstore.New()
	managers := map[string]*apikey.Manager{}
	issued := map[string]apikey.Issued{}
	for _, prefix := range []string{"acme", "acme_live", "acme_test", "ac"} {
		managers[prefix] = newManager(t, st, &apikey.Options{Prefix: prefix})
		issued[prefix] = create(t, managers[prefix], prefix)
	}
	for a, m := range managers {
		for b, i := range issued {
			if a == b {
				wantValid(t, m, i)
			} else {
				wantRefused(t, m, i, apikey.ErrMalformed)
			}
		}
	}
}

func TestLegacyFormats(t *testing.T) {
	ctx := t.Context()
	st := &spyStore{Store: memstore.New()}
	m := newManager(t, st, &apikey.Options{LegacyFormats: []*regexp.Regexp{
		regexp.MustCompile(`old-[0-9a-f]{32}`), regexp.MustCompile(`(?i)pat\.[a-z]+`), regexp.MustCompile(`x.{511}y?`),
	}})
	register := func(token string) {
		t.Helper()
		_, err := m.Register(ctx, apikey.RegisterParams{
			CreateParams: apikey.CreateParams{Owner: "o", Name: "imported"}, Digest: apikey.DigestOf(token), Hint: token[:3],
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	good := "old-" + strings.Repeat("0a", 16)
	long := "x" + strings.Repeat("-", 511)
	register(good)
	register(long)
	register(long + "y")
	for _, tt := range []struct {
		name, token string
		want        error
	}{
		{"registered", good, nil},
		{"512 bytes", long, nil},
		{"513 bytes", long + "y", apikey.ErrMalformed},
		{"not registered", "old-" + strings.Repeat("0b", 16), apikey.ErrUnknown},
		{"other pattern, not registered", "PAT.abc", apikey.ErrUnknown},
		{"only a part matches", "x" + good, apikey.ErrMalformed},
		{"only a part matches, before a line break", good + "\n", apikey.ErrMalformed},
		{"neither form", "neither", apikey.ErrMalformed},
		{"own form, bad checksum", "key_" + strings.Repeat("0", 36), apikey.ErrMalformed},
	} {
		_, err := m.Validate(ctx, tt.token)
		if !errors.Is(err, tt.want) || (err == nil) != (tt.want == nil) {
			t.Errorf("%s: Validate = %v, want %v", tt.name, err, tt.want)
		}
	}
	wantValid(t, m, create(t, m, "o"))
	plain := newManager(t, st, nil)
	before := st.lookups.Load()
	if _, err := plain.Validate(ctx, good); !errors.Is(err, apikey.ErrMalformed) || st.lookups.Load() != before {
		t.Errorf("without LegacyFormats: got %v, want ErrMalformed without a look-up", err)
	}
}

// A digest, as the store holds it, is not a credential.
func TestDigestIsNotACredential(t *testing.T) {
	m := newManager(t, memstore.New(), &apikey.Options{LegacyFormats: []*regexp.Regexp{regexp.MustCompile(`(?s).+`)}})
	issued := create(t, m, "o")
	d := apikey.DigestOf(issued.Secret.Reveal())
	for _, token := range []string{string(d[:]), issued.Key.Hint, issued.Key.ID} {
		if _, err := m.Validate(t.Context(), token); !errors.Is(err, apikey.ErrUnauthenticated) {
			t.Errorf("Validate(%q) = %v, want ErrUnauthenticated", token, err)
		}
	}
}
