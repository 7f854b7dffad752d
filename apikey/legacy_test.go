package apikey_test

import (
	"context"
	"errors"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/keyhatch/keyhatch/apikey"
	"github.com/keyhatch/keyhatch/store"
	"github.com/keyhatch/keyhatch/store/memstore"
)

// A digestStore records the digests of look-ups.
type digestStore struct {
	store.Store
	mu    sync.Mutex
	asked []store.Digest
}

func (s *digestStore) Lookup(ctx context.Context, d store.Digest) (store.Record, error) {
	s.mu.Lock()
	s.asked = append(s.asked, d)
	s.mu.Unlock()
	return s.Store.Lookup(ctx, d)
}

// take returns the look-ups since the last take.
func (s *digestStore) take() []store.Digest {
	s.mu.Lock()
	defer s.mu.Unlock()
	asked := s.asked
	s.asked = nil
	return asked
}

func registerLegacy(t testing.TB, m *apikey.Manager, token string) apikey.Key {
	t.Helper()
	k, err := m.Register(t.Context(), apikey.RegisterParams{
		CreateParams: apikey.CreateParams{Owner: "o", Name: "imported"}, Digest: apikey.DigestOf(token), Hint: "old",
	})
	if err != nil {
		t.Fatalf("Register of %q: %v", token, err)
	}
	return k
}

func patterns(exprs ...string) (all []*regexp.Regexp) {
	for _, e := range exprs {
		all = append(all, regexp.MustCompile(e))
	}
	return all
}

// A legacy token is valid only if its digest is registered and a pattern matches the
// whole token. All tokens of this test are registered, so only the pattern decides.
func TestLegacyFormatsMatchTheWhole(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, pattern string
		good, bad     []string
	}{
		{"alternatives", `aaaa|bbbb`, []string{"aaaa", "bbbb"}, []string{"aaaaX", "Xbbbb", "Xaaaa", "bbbbX", "aaaabbbb", "aaaa|bbbb"}},
		{"a shorter alternative first", `tok|tok_[a-z]+`, []string{"tok", "tok_abc"}, []string{"tok_", "tok_abc1", "atok"}},
		{"group of alternatives", `(?:x|y)[0-9]{4}`, []string{"x1234", "y1234"}, []string{"x12345", "zx1234", "1234"}},
		{"anchored already", `^old_[a-z]{4}$`, []string{"old_abcd"}, []string{"old_abcd\n", "\nold_abcd", "old_abcde"}},
		{"anchored on each line", `(?m)^old_[a-z]{4}$`, []string{"old_abcd"}, []string{"old_abcd\n", "x\nold_abcd", "old_abcd\nx"}},
		{"half anchored alternatives", `^aaaa|bbbb$`, []string{"aaaa", "bbbb"}, []string{"aaaaX", "Xbbbb"}},
		{"flag of one alternative", `(?i)abcd|efgh`, []string{"ABCD", "efGH"}, []string{"abcdX", "xEFGH"}},
		{"dot and newline", `old_.{4}`, []string{"old_abcd"}, []string{"old_abc\n", "old_abcd\n", "old_abcde"}},
		{"dot that takes newlines", `(?s)old_.{4}`, []string{"old_abcd"}, []string{"old_abcd\n", "old_abc\n"}},
		{"not greedy", `old_[a-z]+?`, []string{"old_a", "old_abcd"}, []string{"old_a1"}},
		{"word boundaries", `\bold_[a-z]{4}\b`, []string{"old_abcd"}, []string{" old_abcd", "old_abcd ", "old_abcd-"}},
		{"literal parenthesis", `\)old\(|x{4}`, []string{")old(", "xxxx"}, []string{")old(x", "xxxxx"}},
		{"quoted", `\Qa|b.c\E`, []string{"a|b.c"}, []string{"a", "b.c", "a|bxc"}},
		{"quote left open", `\Qa|b`, []string{"a|b"}, []string{"a", "b", "a|b)", `a|b)\z`}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			st := &digestStore{Store: memstore.New()}
			opts := &apikey.Options{LegacyFormats: patterns(tt.pattern), MaxKeysPerOwner: -1}
			m, err := apikey.New(st, opts)
			if err != nil && tt.name == "quote left open" {
				// New may also refuse a pattern that cannot be anchored.
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = m.Close(context.Background()) })
			keys := map[string]apikey.Key{}
			for _, token := range append(tt.good, tt.bad...) {
				keys[token] = registerLegacy(t, m, token)
			}
			for _, token := range tt.good {
				if p, err := m.Validate(t.Context(), token); err != nil || p.Key().ID != keys[token].ID {
					t.Errorf("%q, all of which %s matches: got %v, %v", token, tt.pattern, p, err)
				}
			}
			st.take()
			for _, token := range tt.bad {
				if p, err := m.Validate(t.Context(), token); !errors.Is(err, apikey.ErrMalformed) || p != nil {
					t.Errorf("%q, of which %s matches only a part: got %v, %v, want ErrMalformed", token, tt.pattern, p, err)
				}
			}
			if asked := st.take(); len(asked) != 0 {
				t.Errorf("tokens in no legacy format that reached the store: got %d, want 0", len(asked))
			}
		})
	}
}

// A legacy token needs both a pattern and a registered digest.
func TestLegacyTokensAreRegistered(t *testing.T) {
	t.Parallel()
	st := &digestStore{Store: memstore.New()}
	m := newManager(t, st, &apikey.Options{LegacyFormats: patterns(`old-[0-9a-f]{32}`), MaxKeysPerOwner: -1})
	token := "old-" + strings.Repeat("0a", 16)
	if _, err := m.Validate(t.Context(), token); !errors.Is(err, apikey.ErrUnknown) {
		t.Errorf("a legacy token that is not registered: got %v, want ErrUnknown", err)
	}
	key := registerLegacy(t, m, token)
	p, err := m.Validate(t.Context(), token)
	if err != nil || p.Key().ID != key.ID {
		t.Fatalf("a registered legacy token: got %v, %v", p, err)
	}
	if _, err := m.Revoke(t.Context(), "o", key.ID, ""); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Validate(t.Context(), token); !errors.Is(err, apikey.ErrRevoked) {
		t.Errorf("a revoked legacy token: got %v, want ErrRevoked", err)
	}
	strange := "new-" + strings.Repeat("0a", 16)
	registerLegacy(t, m, strange)
	if _, err := m.Validate(t.Context(), strange); !errors.Is(err, apikey.ErrMalformed) {
		t.Errorf("a registered token in no format: got %v, want ErrMalformed", err)
	}
	// A token of our form with a wrong checksum is refused, although there are
	// legacy formats.
	own := newTokenFormat(t, "key").Generate()
	if _, err := m.Validate(t.Context(), own[:39]+string(base62[(strings.IndexByte(base62, own[39])+1)%62])); !errors.Is(err, apikey.ErrMalformed) {
		t.Errorf("a wrong checksum with legacy formats: got %v, want ErrMalformed", err)
	}
}

// Advisory 25 (CVE-2020-36569): no legacy format admits an empty credential.
func TestBadLegacyFormats(t *testing.T) {
	t.Parallel()
	for name, formats := range map[string][]*regexp.Regexp{
		"nil":                     {nil},
		"nil after a valid one":   {regexp.MustCompile(`a+`), nil},
		"the empty expression":    patterns(``),
		"star":                    patterns(`[a-z]*`),
		"optional":                patterns(`(?:abc)?`),
		"empty alternative":       patterns(`abc|`),
		"empty first alternative": patterns(`|abc`),
		"anchors alone":           patterns(`^$`),
		"text anchors alone":      patterns(`\A\z`),
		"none of something":       patterns(`a{0}`),
		"boundary or nothing":     patterns(`\b|`),
		"empty after a valid one": patterns(`a+`, `b*`),
		"empty, no word boundary": patterns(`\B`),
	} {
		m, err := func() (m *apikey.Manager, err error) {
			defer func() {
				if p := recover(); p != nil {
					t.Errorf("LegacyFormats with %s: New panicked: %v", name, p)
				}
			}()
			return apikey.New(memstore.New(), &apikey.Options{LegacyFormats: formats})
		}()
		var invalid *apikey.InvalidError
		if m != nil || !errors.As(err, &invalid) || invalid.Field != "LegacyFormats" {
			t.Errorf("LegacyFormats with %s: New = %v, want an InvalidError of LegacyFormats", name, err)
		}
	}
	m := newManager(t, memstore.New(), &apikey.Options{LegacyFormats: []*regexp.Regexp{}})
	if _, err := m.Validate(t.Context(), ""); !errors.Is(err, apikey.ErrMalformed) {
		t.Errorf("the empty token without formats: got %v, want ErrMalformed", err)
	}
	m = newManager(t, memstore.New(), &apikey.Options{LegacyFormats: patterns(`.+`)})
	registerLegacy(t, m, "") // the digest of the empty string
	if _, err := m.Validate(t.Context(), ""); !errors.Is(err, apikey.ErrMalformed) {
		t.Errorf("the empty token, registered: got %v, want ErrMalformed", err)
	}
}

// H-05: a legacy token has at most 512 bytes, for Validate and in a header. Longer ones
// are not hashed.
func TestLegacyTokensAreBounded(t *testing.T) {
	t.Parallel()
	st := &digestStore{Store: memstore.New()}
	m := newManager(t, st, &apikey.Options{LegacyFormats: patterns(`(?s)x.*`), MaxKeysPerOwner: -1})
	for _, n := range []int{1, 54, 55, 56, 63, 64, 65, 511, 512, 513, 514, 1024, 1 << 20} {
		token := "x" + strings.Repeat("y", n-1)
		key := registerLegacy(t, m, token)
		p, err := m.Validate(t.Context(), token)
		asked := st.take()
		if n <= 512 {
			if err != nil || p.Key().ID != key.ID || len(asked) != 1 || asked[0] != apikey.DigestOf(token) {
				t.Errorf("a legacy token of %d bytes: got %v, %v after %d look-ups, want its key after one", n, p, err, len(asked))
			}
			continue
		}
		if !errors.Is(err, apikey.ErrMalformed) || p != nil || len(asked) != 0 {
			t.Errorf("a legacy token of %d bytes: got %v, %v after %d look-ups, want ErrMalformed without a look-up", n, p, err, len(asked))
		}
	}
}

// H-05: only visible ASCII characters are hashed, even if a pattern matches others and
// the digest is registered.
func TestLegacyTokensAreVisible(t *testing.T) {
	t.Parallel()
	st := &digestStore{Store: memstore.New()}
	m := newManager(t, st, &apikey.Options{LegacyFormats: patterns(`(?s).+`, `old(.|\n)*`), MaxKeysPerOwner: -1})
	for c := range 256 {
		for name, token := range map[string]string{"alone": string([]byte{byte(c)}), "inside": "old" + string([]byte{byte(c)}) + "token"} {
			registerLegacy(t, m, token)
			_, err := m.Validate(t.Context(), token)
			asked := st.take()
			if c > ' ' && c <= '~' {
				if err != nil || len(asked) != 1 {
					t.Errorf("%q, %s: got %v after %d look-ups, want no error after one", token, name, err, len(asked))
				}
			} else if !errors.Is(err, apikey.ErrMalformed) || len(asked) != 0 {
				t.Errorf("%q, %s: got %v after %d look-ups, want ErrMalformed without a look-up", token, name, err, len(asked))
			}
		}
	}
}

// Advisory 32 (Okta, October 2024): tokens of any length that differ only in their last
// byte are validated independently, in any order of caching.
func TestTokensThatDifferInTheLastByte(t *testing.T) {
	t.Parallel()
	for _, n := range []int{55, 56, 64, 65, 72, 73, 100, 128, 512} {
		m := newManager(t, memstore.New(), &apikey.Options{LegacyFormats: patterns(`x.*`), MaxKeysPerOwner: -1})
		stem := "x" + strings.Repeat("y", n-2)
		digits := base62[:16]
		keys := map[byte]apikey.Key{}
		seen := map[store.Digest]byte{}
		for i := range digits {
			token := stem + digits[i:i+1]
			if other, ok := seen[apikey.DigestOf(token)]; ok {
				t.Fatalf("tokens of %d bytes that end in %q and %q have one digest", n, other, digits[i])
			}
			seen[apikey.DigestOf(token)] = digits[i]
			if i%2 == 0 {
				keys[digits[i]] = registerLegacy(t, m, token)
			}
		}
		for round := range 3 { // from the store, then from the cache
			for i := range digits {
				p, err := m.Validate(t.Context(), stem+digits[i:i+1])
				key, registered := keys[digits[i]]
				switch {
				case registered && (err != nil || p.Key().ID != key.ID):
					t.Errorf("round %d, %d bytes, last byte %q: got %v, %v, want the token's own key", round, n, digits[i], p, err)
				case !registered && !errors.Is(err, apikey.ErrUnknown):
					t.Errorf("round %d, %d bytes, last byte %q: got %v, %v, want ErrUnknown", round, n, digits[i], p, err)
				}
			}
		}
		// A key is valid although a similar one is revoked.
		if _, err := m.Revoke(t.Context(), "o", keys[digits[0]].ID, ""); err != nil {
			t.Fatal(err)
		}
		if _, err := m.Validate(t.Context(), stem+digits[:1]); !errors.Is(err, apikey.ErrRevoked) {
			t.Errorf("%d bytes: the revoked key: got %v, want ErrRevoked", n, err)
		}
		if _, err := m.Validate(t.Context(), stem+digits[2:3]); err != nil {
			t.Errorf("%d bytes: the similar token: got %v, want no error", n, err)
		}
	}
}
