package apikey_test

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/keyhatch/keyhatch/apikey"
	"github.com/keyhatch/keyhatch/store/memstore"
)

// A tokenVector is an entry of testdata/vectors.json, which says in its comment
// what each field means. It was made by another implementation, in Python, so
// that a mistake made on both sides of a round trip shows.
type tokenVector struct {
	Name, Prefix, Token, Digest string
	MACKeys                     []hexBytes `json:"mac_keys"`
	Random, MAC, Checksum, Hint string
	MACKey                      hexBytes `json:"mac_key"`
	Class                       string
}

type hexBytes []byte

func (h *hexBytes) UnmarshalText(text []byte) (err error) {
	*h, err = hex.DecodeString(string(text))
	return err
}

func (v tokenVector) keys() (keys [][]byte) {
	for _, k := range v.MACKeys {
		keys = append(keys, k)
	}
	return keys
}

func readVectors(t testing.TB) (good, bad []tokenVector) {
	t.Helper()
	raw, err := os.ReadFile("testdata/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Comment   []string
		Good, Bad []tokenVector
	}
	d := json.NewDecoder(strings.NewReader(string(raw)))
	d.DisallowUnknownFields()
	if err := d.Decode(&file); err != nil {
		t.Fatal(err)
	}
	if len(file.Comment) == 0 || len(file.Good) < 12 || len(file.Bad) < 20 {
		t.Fatalf("%d good and %d bad vectors, want at least 12 and 20, and a comment", len(file.Good), len(file.Bad))
	}
	names := map[string]bool{}
	for _, v := range append(file.Good, file.Bad...) {
		if v.Name == "" || names[v.Name] {
			t.Errorf("the name %q is missing or there twice", v.Name)
		}
		names[v.Name] = true
	}
	return file.Good, file.Bad
}

// setUp returns a Manager over a store that holds the vector's digest, so that
// only the format can refuse it.
func (v tokenVector) setUp(t *testing.T) (apikey.TokenFormat, *apikey.Manager, *spyStore, apikey.Key) {
	t.Helper()
	st := &spyStore{Store: memstore.New()}
	m := newManager(t, st, &apikey.Options{Prefix: v.Prefix, MACKeys: v.keys(), Headers: []string{"Authorization", "X-API-Key"}})
	digest, err := hex.DecodeString(v.Digest)
	if err != nil || len(digest) != 32 {
		t.Fatalf("digest %q: %v", v.Digest, err)
	}
	hint := v.Hint
	if hint == "" {
		hint = "bad"
	}
	key, err := m.Register(t.Context(), apikey.RegisterParams{
		CreateParams: apikey.CreateParams{Owner: "o", Name: "vector"}, Digest: [32]byte(digest), Hint: hint,
	})
	if err != nil {
		t.Fatalf("Register: %v", err)
	}
	if d := apikey.DigestOf(v.Token); hex.EncodeToString(d[:]) != v.Digest {
		t.Errorf("DigestOf = %x, want %s", d, v.Digest)
	}
	return newTokenFormat(t, v.Prefix, v.keys()...), m, st, key
}

func TestGoodVectors(t *testing.T) {
	t.Parallel()
	good, _ := readVectors(t)
	for _, v := range good {
		t.Run(v.Name, func(t *testing.T) {
			f, m, st, key := v.setUp(t)
			body := v.Prefix + "_" + v.Random
			if v.MACKey != nil {
				if got := apikey.MACOf(v.MACKey, body); got != v.MAC {
					t.Errorf("MAC = %q, want %q", got, v.MAC)
				}
				if !apikey.VerifyMAC(v.MACKey, body, v.MAC) {
					t.Error("the MAC is refused by the key that made it")
				}
			}
			body += v.MAC
			if got := apikey.Checksum(body); got != v.Checksum || body+got != v.Token {
				t.Errorf("checksum = %q, want %q, and the token their sum", got, v.Checksum)
			}
			if !f.WellFormed(v.Token) || !f.Accepts(v.Token) {
				t.Errorf("well-formed %t, accepted %t, want both", f.WellFormed(v.Token), f.Accepts(v.Token))
			}
			if got := f.Hint(v.Token); got != v.Hint {
				t.Errorf("hint = %q, want %q", got, v.Hint)
			}
			if got := regexp.MustCompile(m.Pattern()).FindString("<" + v.Token + ">"); got != v.Token {
				t.Errorf("the published pattern finds %q, want the token", got)
			}
			p, err := m.Validate(t.Context(), v.Token)
			if err != nil || p.Key().ID != key.ID || p.Key().Hint != v.Hint {
				t.Fatalf("Validate = %+v, %v, want key %s", p, err, key.ID)
			}
			for _, h := range []http.Header{{"Authorization": {"Bearer " + v.Token}}, {"X-Api-Key": {v.Token}}} {
				r := (&http.Request{Method: "GET", Header: h}).WithContext(t.Context())
				if p, err := m.ValidateRequest(r); err != nil || p.Key().ID != key.ID {
					t.Errorf("ValidateRequest with %v = %+v, %v, want key %s", h, p, err, key.ID)
				}
			}
			if n := st.lookups.Load(); n == 0 {
				t.Error("the store was never asked: a good token alone admits nobody")
			}
			empty := newManager(t, memstore.New(), &apikey.Options{Prefix: v.Prefix, MACKeys: v.keys()})
			if _, err := empty.Validate(t.Context(), v.Token); !errors.Is(err, apikey.ErrUnknown) {
				t.Errorf("Validate with an empty store: %v, want ErrUnknown", err)
			}
		})
	}
}

// failingCheck names the first check that the token fails, from the parts.
func failingCheck(v tokenVector) string {
	rest, ok := strings.CutPrefix(v.Token, v.Prefix+"_")
	switch withMAC := len(rest) == 44; {
	case !ok:
		return "prefix"
	case !withMAC && (len(rest) != 36 || v.MACKeys != nil):
		return "length"
	case regexp.MustCompile(`[^0-9A-Za-z]`).MatchString(rest):
		return "alphabet"
	case checksumOracle(v.Token[:len(v.Token)-6]) != v.Token[len(v.Token)-6:]:
		return "checksum"
	}
	for _, k := range v.MACKeys {
		if signed := v.Token[:len(v.Token)-14]; macOracle(k, macDomain, signed) == v.Token[len(v.Token)-14:len(v.Token)-6] {
			return ""
		}
	}
	if v.MACKeys == nil {
		return ""
	}
	return "mac"
}

func TestBadVectors(t *testing.T) {
	t.Parallel()
	_, bad := readVectors(t)
	seen := map[string]int{}
	for _, v := range bad {
		seen[v.Class]++
		t.Run(v.Name, func(t *testing.T) {
			f, m, st, _ := v.setUp(t)
			if got := failingCheck(v); got != v.Class {
				t.Errorf("it fails by its %s, want by its %s", got, v.Class)
			}
			// The cheap checks stand alone before the look into the cache.
			if cheap := v.Class == "checksum" || v.Class == "mac"; f.WellFormed(v.Token) != cheap {
				t.Errorf("well-formed %t, want %t of a token with a bad %s", !cheap, cheap, v.Class)
			}
			if f.Accepts(v.Token) {
				t.Errorf("accepted with a bad %s", v.Class)
			}
			if p, err := m.Validate(t.Context(), v.Token); !errors.Is(err, apikey.ErrMalformed) || p != nil {
				t.Errorf("Validate = %v, %v, want ErrMalformed though the store has its digest", p, err)
			}
			r := (&http.Request{Method: "GET", Header: http.Header{"X-Api-Key": {v.Token}}}).WithContext(t.Context())
			if p, err := m.ValidateRequest(r); !errors.Is(err, apikey.ErrMalformed) || p != nil {
				t.Errorf("ValidateRequest = %v, %v, want ErrMalformed", p, err)
			}
			if n := st.lookups.Load(); n != 0 {
				t.Errorf("it reached the store %d times, want never", n)
			}
		})
	}
	for _, class := range []string{"prefix", "length", "alphabet", "checksum", "mac"} {
		if seen[class] < 3 {
			t.Errorf("%d bad vectors of class %q, want at least 3", seen[class], class)
		}
	}
}
