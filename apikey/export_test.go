package apikey

import (
	"net/http"
	"regexp"
	"strconv"

	"github.com/keyhatch/keyhatch/cache"
	"github.com/keyhatch/keyhatch/store"
)

// What the external tests see beyond the API.

func NewSecret(text string) Secret { return newSecret(text) }

type TokenFormat struct{ f *tokenFormat }

func NewTokenFormat(prefix string, macKeys [][]byte, legacy []*regexp.Regexp) (TokenFormat, error) {
	f, err := newTokenFormat(&Options{Prefix: prefix, MACKeys: macKeys, LegacyFormats: legacy})
	return TokenFormat{f}, err
}

func (t TokenFormat) Generate() string             { return t.f.generate() }
func (t TokenFormat) WellFormed(token string) bool { return t.f.wellFormed(token) }
func (t TokenFormat) Legacy(token string) bool     { return t.f.isLegacy(token) }
func (t TokenFormat) Hint(token string) string     { return t.f.hint(token) }
func (t TokenFormat) Pattern() string              { return t.f.pattern() }
func (t TokenFormat) Accepts(token string) bool    { return t.f.wellFormed(token) && t.f.genuine(token) }
func (t TokenFormat) Prefix() string               { return t.f.prefix }

// Checksum returns the six digits that follow body.
func Checksum(body string) string {
	sum := checksum(body)
	return string(sum[:])
}

// MACOf returns the eight digits that key puts behind signed.
func MACOf(key []byte, signed string) string {
	var b [macLen]byte
	putBase62(b[:], newMACKey(key).sum(signed))
	return string(b[:])
}

// VerifyMAC reports whether mac is the one of key behind signed.
func VerifyMAC(key []byte, signed, mac string) bool { return newMACKey(key).verify(signed, mac) }

// NewMACVerifier is VerifyMAC for one key.
func NewMACVerifier(key []byte) func(signed, mac string) bool { return newMACKey(key).verify }

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
		if u.add(waitingUse{}) {
			taken++
		}
	}
	return taken
}

// EncodeRecord and DecodeRecord are what a Manager puts into a second level.
func EncodeRecord(r store.Record) ([]byte, error) { return encodeRecord(r) }
func DecodeRecord(b []byte) (store.Record, error) { return decodeRecord(b) }

// BusIsUp reports whether the Manager hears of what others change.
func (m *Manager) BusIsUp() bool { return m.group.Healthy() }

func numberedDigest(i int) store.Digest { return DigestOf(strconv.Itoa(i)) }

// RememberRevoked has the Manager remember that it has revoked the key i.
func (m *Manager) RememberRevoked(i int) {
	m.ended.remember(numberedDigest(i), store.Record{RevokedAt: now()})
}

// IsRemembered reports whether the Manager remembers the end of the key i.
func (m *Manager) IsRemembered(i int) bool {
	return m.ended.contradicts(store.Record{Digest: numberedDigest(i)})
}

// Remembered counts the keys whose end the Manager remembers.
func (m *Manager) Remembered() int { return m.ended.keys.len() }

// OwnersWithCalls is how many owners the Manager's lanes know.
func (m *Manager) OwnersWithCalls() (n int) {
	for _, l := range []*lane{m.reads, m.writes, m.revocations} {
		l.mu.Lock()
		n += len(l.owners)
		l.mu.Unlock()
	}
	return n
}
