package apikey_test

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"hash/crc32"
	"math"
	"math/big"
	"math/rand/v2"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode"

	"github.com/keyhatch/keyhatch/apikey"
	"github.com/keyhatch/keyhatch/internal/testkit"
	"github.com/keyhatch/keyhatch/store/memstore"
)

func newTokenFormat(t testing.TB, prefix string, macKeys ...[]byte) apikey.TokenFormat {
	t.Helper()
	f, err := apikey.NewTokenFormat(prefix, macKeys, nil)
	if err != nil {
		t.Fatalf("token format %q: %v", prefix, err)
	}
	return f
}

// checksumOracle computes the checksum in another way: with the standard library's CRC, and with
// a base 62 whose upper and lower case are exchanged afterwards.
func checksumOracle(body string) string {
	digits := new(big.Int).SetUint64(uint64(crc32.ChecksumIEEE([]byte(body)))).Text(62)
	swapped := strings.Map(func(r rune) rune {
		if unicode.IsUpper(r) {
			return unicode.ToLower(r)
		}
		return unicode.ToUpper(r)
	}, digits)
	return strings.Repeat("0", 6-len(swapped)) + swapped
}

// T-01, advisory 30 (crates.io, July 2020): crypto/rand is the package's only source of
// randomness.
func TestOnlyCryptoRand(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	checked, sources := 0, 0
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		checked++
		for _, spec := range f.Imports {
			path, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			switch {
			case path == "crypto/rand":
				sources++
			case path == "math/rand" || path == "math/rand/v2" || strings.HasSuffix(path, "/rand"):
				t.Errorf("%s imports %s, want crypto/rand only", name, path)
			case path == "unsafe" || path == "C":
				t.Errorf("%s imports %s, which can link to the runtime's random source", name, path)
			}
		}
		// Invariant 11: the library itself never calls Reveal.
		ast.Inspect(f, func(n ast.Node) bool {
			if s, ok := n.(*ast.SelectorExpr); ok && s.Sel.Name == "Reveal" {
				t.Errorf("%s calls Reveal, which only the host may", name)
			}
			return true
		})
	}
	if checked < 10 || sources == 0 {
		t.Errorf("got %d files, %d of them with crypto/rand: this is not the package's source", checked, sources)
	}
}

// T-01: a token has 178 random bits and takes at most one block of SHA-256.
func TestTokenLength(t *testing.T) {
	t.Parallel()
	for n := 2; n <= 10; n++ {
		prefix := "a_b2345678"[:n]
		if n == 2 {
			prefix = "ab"
		}
		for _, withMAC := range []bool{false, true} {
			want, keys := n+1+30+6, [][]byte(nil)
			if withMAC {
				want, keys = want+8, [][]byte{macKey(0)}
			}
			token := newTokenFormat(t, prefix, keys...).Generate()
			if len(token) != want || len(token) > 55 {
				t.Errorf("prefix %q, MAC %t: got a token of %d bytes, want %d and at most 55", prefix, withMAC, len(token), want)
			}
			// SHA-256 adds one byte of padding and eight of the length.
			if len(token)+1+8 > sha256.BlockSize {
				t.Errorf("a token of %d bytes takes two blocks of SHA-256", len(token))
			}
			random := strings.TrimPrefix(token, prefix+"_")[:30]
			if bits := float64(len(random)) * math.Log2(62); bits < 178 {
				t.Errorf("entropy: got %.1f bits in %q, want 178", bits, random)
			}
		}
	}
}

// chiSquare returns the p-value of counts under an even distribution. Wilson and Hilferty's
// approximation is exact to a few percent here.
func chiSquare(counts []int) float64 {
	sum := 0
	for _, c := range counts {
		sum += c
	}
	expected, x := float64(sum)/float64(len(counts)), 0.0
	for _, c := range counts {
		x += (float64(c) - expected) * (float64(c) - expected) / expected
	}
	df := float64(len(counts) - 1)
	z := (math.Cbrt(x/df) - (1 - 2/(9*df))) / math.Sqrt(2/(9*df))
	return math.Erfc(z/math.Sqrt2) / 2
}

// leastP returns the least p-value of all positions.
func leastP(draws, positions int, draw func() string) (least float64, position int) {
	counts := make([][62]int, positions)
	for range draws {
		for i, c := range []byte(draw()) {
			counts[i][strings.IndexByte(base62, c)]++
		}
	}
	least = 1
	for i := range counts {
		if p := chiSquare(counts[i][:]); p < least {
			least, position = p, i
		}
	}
	return least, position
}

// T-02: at each position, all characters have the same probability.
//
// Of 90 tests of a correct generator, one is below 0.001 in every eleventh run. So the short
// run requires 0.001 for all 90 together (Bonferroni), and the long one 0.001 at each
// position. Both repeat a failed position once. A correct generator fails the long run once
// in 10,000 times.
func TestTokenCharactersAreEven(t *testing.T) {
	t.Parallel()
	const positions, runs = 30, 3
	draws := testkit.Trials(100_000, 10_000_000)
	bound := 0.001 / (positions * runs)
	if draws >= 10_000_000 {
		bound = 0.001
	}
	f := newTokenFormat(t, "key")
	draw := func() string { return f.Generate()[len("key_"):][:positions] }
	for run := range runs {
		least, at := leastP(draws, positions, draw)
		if least <= bound {
			t.Logf("run %d: p = %g at position %d; repeating it", run, least, at)
			least, _ = leastP(draws, 1, func() string { return draw()[at : at+1] })
		}
		if least <= bound {
			t.Errorf("run %d: p = %g at position %d of %d tokens, want more than %g", run, least, at, draws, bound)
		}
	}
	// Controls: a byte modulo 62, a common mistake, which favours eight characters; and an
	// alphabet with one character less.
	for name, pick := range map[string]func() int{
		"modulo":       func() int { return rand.IntN(256) % 62 },
		"one left out": func() int { return rand.IntN(61) },
		"one twice":    func() int { return rand.IntN(63) % 62 },
	} {
		biased := func() string { return string(base62[pick()]) }
		if p, _ := leastP(30_000, 1, biased); p > 0.001/(positions*runs) {
			t.Errorf("control: %s has p = %g, so the test misses its bias", name, p)
		}
	}
}

// T-03.
func TestNoDuplicateTokens(t *testing.T) {
	t.Parallel()
	n := testkit.Trials(1_000_000, 10_000_000)
	f := newTokenFormat(t, "key")
	// The test compares eight bytes of the digests. Two of ten million are equal by chance
	// once in 400,000 runs.
	seen := make([]uint64, n)
	for i := range seen {
		d := apikey.DigestOf(f.Generate())
		for _, b := range d[:8] {
			seen[i] = seen[i]<<8 | uint64(b)
		}
	}
	slices.Sort(seen)
	if distinct := len(slices.Compact(seen)); distinct != n {
		t.Errorf("got %d duplicates among %d tokens, want 0", n-distinct, n)
	}
}

// T-04: the published pattern finds every token, and matches the whole of it.
func TestPatternFindsEveryToken(t *testing.T) {
	t.Parallel()
	n := testkit.Trials(3_000, 125_000)
	for _, prefix := range []string{"key", "acme_live", "ab", "a_b_c_d_e0_f_g_h_i_0"} {
		for _, keys := range [][][]byte{nil, {macKey(0)}} {
			f := newTokenFormat(t, prefix, keys...)
			pattern := regexp.MustCompile(f.Pattern())
			contexts := []string{"%s", `{"key":"%s"}`, "Bearer %s\r\n", "export K=%s\n", "https://x/?k=%s&b=c", "it is %s.", "(%s)", "-%s-", "/%s/"}
			for i := range n {
				token := f.Generate()
				text := fmt.Sprintf(contexts[i%len(contexts)], token)
				if got := pattern.FindAllString(text, -1); len(got) != 1 || got[0] != token {
					t.Fatalf("pattern %s: got %q in %q, want the token", f.Pattern(), got, text)
				}
			}
		}
	}
}

// T-04: a match of the pattern that is not a token has a wrong checksum.
func TestPatternAndChecksumTellNonKeys(t *testing.T) {
	t.Parallel()
	f := newTokenFormat(t, "key")
	pattern := regexp.MustCompile(f.Pattern())
	var text strings.Builder
	for range testkit.Trials(3_000, 1_000_000) {
		text.WriteString(" key_")
		for range 36 + 8*rand.IntN(2) {
			text.WriteByte(base62[rand.IntN(62)])
		}
	}
	found := pattern.FindAllString(text.String(), -1)
	if len(found) == 0 {
		t.Fatal("the pattern matches nothing, so the test is empty")
	}
	for _, s := range found {
		if f.Accepts(s) {
			t.Errorf("%q is not a token, but has a right checksum", s)
		}
	}
	for _, other := range []string{"live", "acme"} {
		token := newTokenFormat(t, "acme_live").Generate()
		if s := regexp.MustCompile(newTokenFormat(t, other).Pattern()).FindString(token); s != "" {
			t.Errorf("the pattern of prefix %q finds %q in a token of acme_live", other, s)
		}
	}
}

// spellings calls try with similar strings that could be confused with token.
func spellings(token, prefix string, try func(name, s string)) {
	add := func(name, s string) {
		if s != token {
			try(name, s)
		}
	}
	body := len(prefix) + 1
	lookAlikes := map[byte]string{
		'0': "O", 'O': "0", 'o': "0", '1': "l", 'l': "1", 'I': "l", '5': "S", 'S': "5", '8': "B", 'B': "8", '2': "Z", 'Z': "2",
	}
	unicodeAlikes := map[byte]string{
		'a': "\u0430", 'c': "\u0441", 'e': "\u0435", 'o': "\u043e", 'p': "\u0440", 'x': "\u0445", 'A': "\u0410", 'K': "\u212a",
		'k': "\u212a", 's': "\u017f", 'S': "\u017f", 'O': "\u039f", 'i': "\u0131", 'I': "\u0130", '_': "\uff3f",
	}
	for i := range len(token) {
		c := token[i]
		if r := rune(c); unicode.IsLetter(r) {
			add("case flip", token[:i]+string(r^0x20)+token[i+1:])
		}
		if s, ok := lookAlikes[c]; ok {
			add("alias", token[:i]+s+token[i+1:])
		}
		if s, ok := unicodeAlikes[c]; ok {
			add("look-alike", token[:i]+s+token[i+1:])
			if i+len(s) <= len(token) {
				add("look-alike of the same length", token[:i]+s+token[i+len(s):])
			}
		}
		if c >= '0' && c <= 'z' {
			add("full width", token[:i]+string(rune(c)+0xfee0)+token[i+1:])
		}
		add("high bit", token[:i]+string([]byte{c | 0x80})+token[i+1:])
		add("truncated", token[:i])
		add("end alone", token[i+1:])
		add("without one", token[:i]+token[i+1:])
		add("doubled", token[:i]+string(c)+token[i:])
		if i+1 < len(token) && c != token[i+1] {
			add("swapped", token[:i]+token[i+1:i+2]+token[i:i+1]+token[i+2:])
		}
	}
	for _, space := range []string{" ", "\t", "\n", "\r\n", "\v", "\f", "\x00", "\u00a0", "\u2003", "\u200b", "\ufeff", "%20", "+", "\x7f"} {
		add("space before", space+token)
		add("trailing space", token+space)
		add("space after the prefix", token[:body]+space+token[body:])
		add("space for a character", token[:body]+space+token[min(body+len(space), len(token)):])
	}
	for _, c := range base62 {
		add("one more", token+string(c))
		add("one more before", string(c)+token)
		add("one more in between", token[:body]+string(c)+token[body:])
	}
	for _, n := range []int{1, 2, 6, 8, 14, 36} {
		zeros := strings.Repeat("0", n)
		add("leading zeros", token[:body]+zeros+token[body:])
		add("trailing zeros", token+zeros)
		add("zeros before the checksum", token[:len(token)-6]+zeros+token[len(token)-6:])
	}
	for _, pad := range []string{"=", "==", ".", "_", "-", "_0"} {
		add("padded", token+pad)
	}
	// Change the case of the whole token, since its random part may have letters of one case only.
	add("upper case", strings.ToUpper(token))
	if lower := strings.ToLower(token); lower != token {
		add("lower case", lower)
	}
	add("twice", token+token)
	add("quoted", `"`+token+`"`)
	add("with its scheme", "Bearer "+token)
	add("dash", prefix+"-"+token[body:])
	add("no underscore", prefix+token[body:])
	add("two underscores", prefix+"__"+token[body:])
	add("upper case prefix", strings.ToUpper(prefix)+token[len(prefix):])
	add("no prefix", token[body:])
	add("escaped", strings.Replace(token, "_", "%5F", 1))
}

// T-05: exactly one spelling of a token is accepted. Others do not reach the store.
func TestOneSpelling(t *testing.T) {
	t.Parallel()
	n := testkit.Trials(2_000, 100_000)
	for _, keys := range [][][]byte{nil, {macKey(0)}} {
		f := newTokenFormat(t, "acme_live", keys...)
		st := &spyStore{Store: memstore.New()}
		m := newManager(t, st, &apikey.Options{Prefix: "acme_live", MACKeys: keys, MaxKeysPerOwner: -1})
		tried := 0
		for i := range n {
			token := f.Generate()
			if !f.Accepts(token) {
				t.Fatalf("new token %q is not accepted", token)
			}
			spellings(token, "acme_live", func(name, s string) {
				tried++
				if f.Accepts(s) {
					t.Errorf("besides %q, the spelling %q was accepted (%s)", token, s, name)
				}
				if i > 3 {
					return
				}
				if _, err := m.Validate(t.Context(), s); !errors.Is(err, apikey.ErrMalformed) {
					t.Errorf("Validate of %q (%s), a spelling of %q: got %v, want ErrMalformed", s, name, token, err)
				}
			})
		}
		if reads := st.lookups.Load(); reads != 0 {
			t.Errorf("other spellings that reached the store: got %d, want 0", reads)
		}
		if tried < 400*n {
			t.Errorf("got %d spellings of %d tokens, want at least 400 of each", tried, n)
		}
	}
}

// T-05, for small checksums, which have leading zeros.
func TestChecksumIsPadded(t *testing.T) {
	t.Parallel()
	f := newTokenFormat(t, "key")
	rng := rand.New(rand.NewPCG(1, 2)) // the same bodies in every run
	for zeros, least := range []int{50, 20, 5, 1} {
		for n := 0; n < least; {
			body := []byte("key_")
			for range 30 {
				body = append(body, base62[rng.IntN(62)])
			}
			want := checksumOracle(string(body))
			if got := apikey.Checksum(string(body)); got != want {
				t.Fatalf("checksum of %q = %q, want %q", body, got, want)
			}
			if !strings.HasPrefix(want, strings.Repeat("0", zeros)) {
				continue
			}
			n++
			token := string(body) + want
			if !f.Accepts(token) {
				t.Errorf("%q, whose checksum begins with %d zeros, is refused", token, zeros)
			}
			if short := string(body) + want[zeros:]; zeros > 0 && f.Accepts(short) {
				t.Errorf("%q is accepted without the padding of its checksum", short)
			}
		}
	}
	for _, body := range []string{"", "a", "key_", strings.Repeat("\xff", 100)} {
		if got, want := apikey.Checksum(body), checksumOracle(body); got != want {
			t.Errorf("checksum of %q = %q, want %q", body, got, want)
		}
	}
}

// T-15: a token of one environment is not valid in another with the same store and MAC key,
// even with a changed prefix and checksum.
func TestTokensStayInTheirEnvironment(t *testing.T) {
	t.Parallel()
	prefixes := []string{"acme", "acme_live", "acme_test", "ac", "live", "test", "acme_live2"}
	for _, keys := range [][][]byte{nil, {macKey(0)}} {
		st := &spyStore{Store: memstore.New()}
		managers, tokens := map[string]*apikey.Manager{}, map[string]string{}
		for _, p := range prefixes {
			managers[p] = newManager(t, st, &apikey.Options{Prefix: p, MACKeys: keys})
			tokens[p] = create(t, managers[p], "o-"+p).Secret.Reveal()
		}
		for _, from := range prefixes {
			for _, to := range prefixes {
				if from == to {
					if _, err := managers[to].Validate(t.Context(), tokens[from]); err != nil {
						t.Errorf("a token of %s in %s: %v", from, to, err)
					}
					continue
				}
				before := st.lookups.Load()
				if _, err := managers[to].Validate(t.Context(), tokens[from]); !errors.Is(err, apikey.ErrMalformed) {
					t.Errorf("a token of %s in %s: got %v, want ErrMalformed", from, to, err)
				}
				body := to + strings.TrimPrefix(tokens[from][:len(tokens[from])-6], from)
				rewritten, want := body+checksumOracle(body), apikey.ErrUnknown
				if keys != nil {
					want = apikey.ErrMalformed // the MAC covers the prefix
				}
				if _, err := managers[to].Validate(t.Context(), rewritten); !errors.Is(err, want) {
					t.Errorf("a token of %s, changed for %s: got %v, want %v", from, to, err, want)
				}
				if reads := st.lookups.Load() - before; keys != nil && reads != 0 {
					t.Errorf("a token of %s in %s: got %d store calls, want 0", from, to, reads)
				}
			}
		}
	}
}

func TestPrefixGrammar(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		prefix string
		good   bool
	}{
		{"ab", true}, {"a0", true}, {"key", true}, {"acme_live", true}, {"a_b_c_d_e0", true}, {"abcdefghij0123456789", true}, {"z123456789", true}, {"a_0", true},
		{"a", false}, {"abcdefghij0123456789k", false}, {"_a", false}, {"a_", false}, {"a__b", false}, {"0a", false}, {"Ab", false}, {"aB", false},
		{"a-b", false}, {"a.b", false}, {"a b", false}, {"ab\n", false}, {"\nab", false}, {"ab\x00", false}, {"aé", false}, {"é", false},
		{"a\xff", false}, {"__", false}, {"_", false}, {"  ", false}, {"key_", false}, {"a|b", false}, {"a+", false}, {".*", false},
	} {
		_, err := apikey.New(memstore.New(), &apikey.Options{Prefix: tt.prefix})
		var invalid *apikey.InvalidError
		if tt.good && err != nil {
			t.Errorf("prefix %q: got %v, want no error", tt.prefix, err)
		}
		if !tt.good && (!errors.As(err, &invalid) || invalid.Field != "Prefix") {
			t.Errorf("prefix %q: got %v, want an InvalidError of Prefix", tt.prefix, err)
		}
	}
	if _, err := apikey.NewTokenFormat("", nil, nil); err == nil {
		t.Error("the empty prefix is accepted")
	}
	// Every string of two bytes, and some of three.
	grammar := regexp.MustCompile(`\A[a-z](_?[a-z0-9])+\z`)
	var all []string
	for a := range 256 {
		for b := range 256 {
			all = append(all, string([]byte{byte(a), byte(b)}))
		}
	}
	for _, a := range "az09_A-\n" {
		for _, b := range "az09_A-\n" {
			for _, c := range "az09_A-\n" {
				all = append(all, string([]rune{a, b, c}))
			}
		}
	}
	for _, s := range all {
		if _, err := apikey.NewTokenFormat(s, nil, nil); (err == nil) != grammar.MatchString(s) {
			t.Errorf("prefix %q: got %v, want accepted = %t", s, err, err != nil)
		}
	}
}

// The hint is the prefix and four characters.
func TestHint(t *testing.T) {
	t.Parallel()
	for _, prefix := range []string{"ab", "key", "acme_live2"} {
		for _, keys := range [][][]byte{nil, {macKey(0)}} {
			m := newManager(t, memstore.New(), &apikey.Options{Prefix: prefix, MACKeys: keys})
			created := create(t, m, "o")
			rotated, err := m.Rotate(t.Context(), "o", created.Key.ID, 0)
			if err != nil {
				t.Fatal(err)
			}
			for _, i := range []apikey.Issued{created, rotated} {
				if want := i.Secret.Reveal()[:len(prefix)+1+4]; i.Key.Hint != want {
					t.Errorf("hint: got %q, want the prefix and four characters, %q", i.Key.Hint, want)
				}
				if kept, err := m.Get(t.Context(), "o", i.Key.ID); err != nil || kept.Hint != i.Key.Hint {
					t.Errorf("hint in the store: got %q, %v, want %q", kept.Hint, err, i.Key.Hint)
				}
			}
		}
	}
}

// DigestOf is the plain SHA-256 at every length, around the sizes of its buffers.
func TestDigestOf(t *testing.T) {
	t.Parallel()
	text := strings.Repeat("0123456789abcdefghijklmnopqrstuvwxyz", 20)
	for n := range len(text) {
		if got, want := apikey.DigestOf(text[:n]), sha256.Sum256([]byte(text[:n])); got != want {
			t.Fatalf("DigestOf of %d bytes = %x, want the SHA-256 %x", n, got, want)
		}
	}
}
