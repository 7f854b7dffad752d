package apikey

import (
	"net/http"
	"regexp"

	"github.com/keyhatch/keyhatch/cache"
	"github.com/keyhatch/keyhatch/store"
)

// What the external tests see beyond the API.

func NewSecret(text string) Secret { return newSecret(text) }

type TokenFormat struct{ f *tokenFormat }

func NewTokenFormat(prefix string, tagKeys [][]byte, legacy []*regexp.Regexp) (TokenFormat, error) {
	f, err := newTokenFormat(prefix, tagKeys, legacy)
	return TokenFormat{f}, err
}

func (t TokenFormat) Generate() string             { return t.f.generate() }
func (t TokenFormat) WellFormed(token string) bool { return t.f.wellFormed(token) }
func (t TokenFormat) Legacy(token string) bool     { return t.f.legacy(token) }
func (t TokenFormat) Hint(token string) string     { return t.f.hint(token) }
func (t TokenFormat) Pattern() string              { return t.f.pattern() }
func (t TokenFormat) Accepts(token string) bool    { return t.f.wellFormed(token) && t.f.genuine(token) }
func (t TokenFormat) Prefix() string               { return t.f.prefix }

// Checksum returns the six digits that follow body.
func Checksum(body string) string {
	sum := checksum(body)
	return string(sum[:])
}

// TagOf returns the eight digits that key puts behind signed.
func TagOf(key []byte, signed string) string {
	var b [tagLen]byte
	putBase62(b[:], newTagger(key).tag(signed))
	return string(b[:])
}

// VerifyTag reports whether tag is the one of key behind signed.
func VerifyTag(key []byte, signed, tag string) bool { return newTagger(key).verify(signed, tag) }

// NewTagVerifier is VerifyTag for one key.
func NewTagVerifier(key []byte) func(signed, tag string) bool { return newTagger(key).verify }

// ExtractToken takes the token out of the named headers, as the middleware does.
func ExtractToken(headers []string, h http.Header) (string, error) {
	carriers, err := newCarriers(headers)
	if err != nil {
		return "", err
	}
	token, _, err := extract(carriers, h)
	return token, err
}

// CacheOptions are what the Manager asks of its caches.
func (m *Manager) CacheOptions() cache.Options { return m.cacheOptions() }

// MaxShardUses is how many last-used times wait at most in one of the shards,
// of which there are UseShards.
const (
	MaxShardUses = maxShardUses
	UseShards    = useShards
)

// WaitingUses counts how many of n uses of keys in one shard are taken up while
// nobody writes them.
func WaitingUses(n int) (taken int) {
	u := &lastUsed{full: make(chan struct{}, 1)}
	for range n {
		if u.add(store.Use{}) {
			taken++
		}
	}
	return taken
}

// EncodeRecord and DecodeRecord are what a Manager puts into a second level.
func EncodeRecord(r store.Record) ([]byte, error) { return encodeRecord(r) }
func DecodeRecord(b []byte) (store.Record, error) { return decodeRecord(b) }

// BusIsUp reports whether the Manager hears of what others change.
func (m *Manager) BusIsUp() bool { return m.feed.Up() }
