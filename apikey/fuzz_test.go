package apikey_test

import (
	"context"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/keyhatch/keyhatch/apikey"
	"github.com/keyhatch/keyhatch/store"
	"github.com/keyhatch/keyhatch/store/memstore"
)

// A fuzz target without seeds would pass without testing anything.
func TestFuzzTargetsHaveSeeds(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	targets := map[string]bool{}
	for _, name := range files {
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range f.Decls {
			if d, ok := d.(*ast.FuncDecl); ok && d.Recv == nil && strings.HasPrefix(d.Name.Name, "Fuzz") {
				targets[d.Name.Name] = true
			}
		}
	}
	for _, name := range []string{"FuzzToken", "FuzzMAC", "FuzzAuthorization", "FuzzCursor", "FuzzRecord", "FuzzName"} {
		if !targets[name] {
			t.Errorf("%s is missing", name)
		}
	}
	for name := range targets {
		seeds, err := os.ReadDir(filepath.Join("testdata", "fuzz", name))
		if err != nil || len(seeds) == 0 {
			t.Errorf("%s has no seeds in testdata/fuzz/%s: %v", name, name, err)
		}
		for _, seed := range seeds {
			text, err := os.ReadFile(filepath.Join("testdata", "fuzz", name, seed.Name()))
			if err != nil || !strings.HasPrefix(string(text), "go test fuzz v1\n") {
				t.Errorf("seed %s of %s is not valid: %v", seed.Name(), name, err)
			}
		}
	}
	folders, err := os.ReadDir(filepath.Join("testdata", "fuzz"))
	if err != nil {
		t.Fatal(err)
	}
	for _, folder := range folders {
		if !targets[folder.Name()] {
			t.Errorf("testdata/fuzz/%s has seeds for no target", folder.Name())
		}
	}
}

// fuzzMACKey is fixed, so that the MACs of the seeds stay valid.
var fuzzMACKey = []byte("0123456789abcdefghijklmnopqrstuv")

// digits maps a string to n base62 digits.
func digits(text string, n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = base62[i%62]
		if i < len(text) {
			b[i] = base62[int(text[i])%62]
		}
	}
	return string(b)
}

// T-06: the parser does not panic, and accepts a token only if the parts that it returns, put
// together, are the token. No token is valid unless the store has it (T-07, T-09).
func FuzzToken(f *testing.F) {
	type fixture struct {
		format  apikey.TokenFormat
		manager *apikey.Manager
		store   *spyStore
		pattern *regexp.Regexp
		withMAC bool
	}
	var all []fixture
	for _, keys := range [][][]byte{nil, {fuzzMACKey}} {
		st := &spyStore{Store: memstore.New()}
		m := newManager(f, st, &apikey.Options{MACKeys: keys})
		all = append(all, fixture{newTokenFormat(f, "key", keys...), m, st, regexp.MustCompile(`\A` + m.Pattern() + `\z`), keys != nil})
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, x := range all {
			signed := "key_" + digits(text, 30)
			if x.withMAC {
				signed += apikey.MACOf(fuzzMACKey, signed)
			}
			if made := signed + apikey.Checksum(signed); !x.format.Accepts(made) {
				t.Errorf("MAC %t: %q is refused, though its parts are valid", x.withMAC, made)
			}
			for _, s := range []string{text, "key_" + text, signed + apikey.Checksum(signed)} {
				before := x.store.lookups.Load()
				p, err := x.manager.Validate(t.Context(), s)
				accepted := x.format.Accepts(s)
				want := apikey.ErrMalformed
				if accepted {
					want = apikey.ErrUnknown
				}
				if p != nil || !errors.Is(err, want) {
					t.Errorf("MAC %t: Validate(%q) with an empty store = %v, %v, want %v", x.withMAC, s, p, err, want)
				}
				if !accepted {
					if x.store.lookups.Load() != before {
						t.Errorf("MAC %t: %q is malformed, but reached the store", x.withMAC, s)
					}
					continue
				}
				body := "key_" + s[4:34]
				switch {
				case x.withMAC:
					body += apikey.MACOf(fuzzMACKey, body)
				case len(s) == 48: // a MAC that is no longer checked
					body += s[34:42]
				}
				if again := body + checksumOracle(body); again != s {
					t.Errorf("MAC %t: accepted %q, whose parts spell %q", x.withMAC, s, again)
				}
				if len(s) > 55 || !x.pattern.MatchString(s) || x.format.Hint(s) != s[:8] {
					t.Errorf("MAC %t: accepted %q, of %d bytes and hint %q, which the published pattern does not match", x.withMAC, s, len(s), x.format.Hint(s))
				}
			}
		}
	})
}

// T-14, advisory 27 (CVE-2023-35941): two ways to split one text never have the same MAC.
func FuzzMAC(f *testing.F) {
	f.Fuzz(func(t *testing.T, key []byte, text string, cutA, cutB uint8) {
		type reading struct {
			format apikey.TokenFormat
			signed string
			mac    string
		}
		read := func(cut uint8) (r reading, ok bool) {
			if int(cut) > len(text) {
				return r, false
			}
			var err error
			if r.format, err = apikey.NewTokenFormat(text[:cut], [][]byte{key}, nil); err != nil {
				return r, false // not a prefix, or not a key
			}
			r.signed = text[:cut] + "_" + digits(text[cut:], 30)
			r.mac = apikey.MACOf(key, r.signed)
			return r, true
		}
		a, ok := read(cutA)
		if !ok {
			return
		}
		if want := macOracle(key, macDomain, a.signed); a.mac != want {
			t.Errorf("MAC of %q = %q, want %q", a.signed, a.mac, want)
		}
		body := a.signed + a.mac
		if !a.format.Accepts(body + apikey.Checksum(body)) {
			t.Errorf("%q with its own MAC %q is refused", a.signed, a.mac)
		}
		b, ok := read(cutB)
		if !ok || cutA == cutB {
			return
		}
		if a.signed == b.signed || a.mac == b.mac {
			t.Errorf("%q, split at %d and at %d, is signed as %q and %q, with MACs %q and %q", text, cutA, cutB, a.signed, b.signed, a.mac, b.mac)
		}
		for _, body := range []string{b.signed + a.mac, a.signed + b.mac} {
			if token := body + apikey.Checksum(body); a.format.Accepts(token) || b.format.Accepts(token) {
				t.Errorf("%q is accepted with the MAC of another split", token)
			}
		}
	})
}

var httpToken = regexp.MustCompile("\\A[!#$%&'*+.^_`|~0-9A-Za-z-]+\\z")

// H-05, T-06, advisory 31 (GHSA-xmf8-cvqr-rfgj): any headers without a known token are
// refused, and at most 512 visible characters are hashed.
//
// A legacy format matches every token here, so that only the carrier's own checks
// protect the store.
func FuzzAuthorization(f *testing.F) {
	st := &digestStore{Store: memstore.New()}
	m := newManager(f, st, &apikey.Options{
		Headers: []string{"Authorization", "X-API-Key"}, LegacyFormats: patterns(`(?s).+`),
	})
	called := false
	h := m.Require()(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { called = true }))
	serve := func(header http.Header) *httptest.ResponseRecorder {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header = header
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w
	}
	usual := serve(http.Header{"Authorization": {"Bearer usual"}}).Body.String()
	f.Fuzz(func(t *testing.T, authorization, apiKey string, carriers uint8) {
		header := http.Header{}
		if carriers&1 != 0 {
			header["Authorization"] = []string{authorization}
		}
		if carriers&2 != 0 {
			header["X-Api-Key"] = []string{apiKey}
		}
		if carriers&4 != 0 {
			header["Authorization"] = append(header["Authorization"], apiKey)
		}
		sent := 0
		for _, values := range header {
			sent += len(values)
		}
		otherScheme := false
		if values := header["Authorization"]; len(values) == 1 {
			scheme, _, spaced := strings.Cut(values[0], " ")
			otherScheme = spaced && len(scheme) <= 512 && httpToken.MatchString(scheme) && !strings.EqualFold(scheme, "Bearer")
		}
		if otherScheme {
			sent--
		}
		st.take()
		called = false
		w := serve(header)
		asked := st.take()
		want := http.StatusUnauthorized
		if sent > 1 {
			want = http.StatusBadRequest
		}
		if w.Code != want || called {
			t.Errorf("%q: got status %d, next handler called %t, want %d and no call", header, w.Code, called, want)
		}
		token, err := apikey.ExtractToken([]string{"Authorization", "X-API-Key"}, header)
		if sent > 1 && !errors.Is(err, apikey.ErrAmbiguous) || sent == 0 && !errors.Is(err, apikey.ErrMissing) {
			t.Errorf("got %d credentials in %q: %v", sent, header, err)
		}
		if err != nil {
			if len(asked) != 0 || token != "" {
				t.Errorf("%q, refused with %v: got the token %q and %d look-ups, want none", header, err, token, len(asked))
			}
			return
		}
		if len(token) > 512 {
			t.Errorf("%q: got a token of %d bytes, want at most 512", header, len(token))
		}
		visible := token != "" && !strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' })
		if !visible && len(asked) != 0 {
			t.Errorf("%q, whose token is not all visible ASCII characters, reached the store", header)
		}
		// There is at most one look-up, since an unknown token is cached for a while.
		if len(asked) > 1 || len(asked) == 1 && asked[0] != apikey.DigestOf(token) {
			t.Errorf("%q: got look-ups of %x, want only the digest of %q", header, asked, token)
		}
		expected := apiKey
		if carriers&1 != 0 && !otherScheme || carriers&4 != 0 && carriers&2 == 0 {
			scheme, rest, _ := strings.Cut(header["Authorization"][0], " ")
			if !strings.EqualFold(scheme, "Bearer") || len(scheme) != len("Bearer") {
				t.Fatalf("%q, which is not a Bearer credential, gives the token %q", header, token)
			}
			expected = strings.TrimLeft(rest, " ")
		}
		if token != expected {
			t.Errorf("%q: got the token %q, want %q", header, token, expected)
		}
		if len(token) > 20 && strings.Contains(w.Body.String(), token) && !strings.Contains(usual, token) {
			t.Errorf("the response contains the token: %s", w.Body)
		}
	})
}

// A queryStore records the last List.
type queryStore struct {
	store.Store
	asked *store.Query
}

func (s *queryStore) List(ctx context.Context, q store.Query) (store.Page, error) {
	*s.asked = q
	return s.Store.List(ctx, q)
}

// A cursor often comes from a client. An invalid one must not cause an outage or show
// another owner's keys.
func FuzzCursor(f *testing.F) {
	var asked store.Query
	m := newManager(f, &queryStore{Store: memstore.New(), asked: &asked}, &apikey.Options{MaxKeysPerOwner: -1})
	mine := map[string]bool{}
	for range 5 {
		mine[create(f, m, "mine").Key.ID] = true
		create(f, m, "other")
	}
	f.Fuzz(func(t *testing.T, cursor string, limit int) {
		asked = store.Query{}
		seen := map[string]bool{}
		for step := 0; ; step++ {
			page, err := m.List(t.Context(), apikey.ListParams{Owner: "mine", Cursor: cursor, Limit: limit})
			var invalid *apikey.InvalidError
			if step == 0 && errors.As(err, &invalid) && invalid.Field == "Cursor" {
				if asked.Owner != "" || len(page.Keys) != 0 || page.Next != "" {
					t.Errorf("cursor %q was refused, but the store got the query %+v and List returned %+v", cursor, asked, page)
				}
				return
			}
			if err != nil {
				t.Fatalf("cursor %q, page %d: got %v, want an InvalidError of Cursor or a page", cursor, step, err)
			}
			if cursor != "" && asked.After.IsZero() {
				t.Errorf("cursor %q, which is not from List: got the first page, want an InvalidError", cursor)
			}
			for _, k := range page.Keys {
				if !mine[k.ID] || k.Owner != "mine" || seen[k.ID] {
					t.Errorf("cursor %q: got key %s of %s, want each of the owner's keys once", cursor, k.ID, k.Owner)
				}
				seen[k.ID] = true
			}
			// A database must be able to compare the cursor.
			if id := asked.After.ID; len(id) > 64 || strings.ContainsFunc(id, func(r rune) bool { return r < ' ' || r > '~' || r == '\'' || r == '"' || r == '\\' }) || asked.After.CreatedAt.Year() > 9999 {
				t.Errorf("cursor %q became %+v in the store's query", cursor, asked.After)
			}
			if page.Next == "" {
				return
			}
			if cursor = page.Next; step > 5 {
				t.Fatalf("the list of five keys does not end")
			}
		}
	})
}
