package apikey

import (
	"net/http"
	"regexp"
	"strconv"

	"github.com/keyhatch/keyhatch/cache"
	"github.com/keyhatch/keyhatch/store"
)

// Unexported names for the external tests.

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
func (t TokenFormat) Accepts(token string) bool    { return t.f.wellFormed(token) && t.f.verify(token) }
func (t TokenFormat) Prefix() string               { return t.f.prefix }

// Checksum returns the six digits that follow body.
func Checksum(body string) string {
	sum := checksum(body)
	return string(sum[:])
}

// MACOf returns the MAC of signed under key.
func MACOf(key []byte, signed string) string {
	var b [macLen]byte
	putBase62(b[:], newMACKey(key).sum(signed))
	return string(b[:])
}

// VerifyMAC reports whether mac is the MAC of signed under key.
func VerifyMAC(key []byte, signed, mac string) bool { return newMACKey(key).verify(signed, mac) }

// NewMACVerifier returns a function like VerifyMAC for one key.
func NewMACVerifier(key []byte) func(signed, mac string) bool { return newMACKey(key).verify }

// ExtractToken returns the token in the named headers, as the middleware does.
func ExtractToken(headers []string, h http.Header) (string, error) {
	carriers, err := newCarriers(headers)
	if err != nil {
		return "", err
	}
	token, _, err := extract(carriers, h)
	return token, err
}

// CacheOptions returns the options of the Manager's caches.
func (m *Manager) CacheOptions() cache.Options { return m.cacheOptions() }

// MaxShardUses is the maximum number of waiting last-used times in each of the
// UseShards shards.
const (
	MaxShardUses = maxShardUses
	UseShards    = useShards
)

// WaitingUses adds n uses to one shard, without a flush, and returns how many are
// accepted.
func WaitingUses(n int) (accepted int) {
	u := &lastUsed{full: make(chan struct{}, 1)}
	for range n {
		if u.add(waitingUse{}) {
			accepted++
		}
	}
	return accepted
}

// EncodeRecord and DecodeRecord convert a record to its form in the shared cache, and
// back.
func EncodeRecord(r store.Record) ([]byte, error) { return encodeRecord(r) }
func DecodeRecord(b []byte) (store.Record, error) { return decodeRecord(b) }

// BusIsUp reports whether the Manager receives the changes of other instances.
func (m *Manager) BusIsUp() bool { return m.group.Healthy() }

func numberedDigest(i int) store.Digest { return DigestOf(strconv.Itoa(i)) }

// RememberRevoked makes the Manager remember that it has revoked key i.
func (m *Manager) RememberRevoked(i int) {
	m.ended.remember(numberedDigest(i), store.Record{RevokedAt: now()})
}

// IsRemembered reports whether the Manager remembers that key i is revoked.
func (m *Manager) IsRemembered(i int) bool {
	return m.ended.contradicts(store.Record{Digest: numberedDigest(i)})
}

// Remembered returns the number of keys that the Manager remembers as revoked.
func (m *Manager) Remembered() int { return m.ended.keys.len() }

// OwnersWithCalls returns the number of owners in the Manager's lanes.
func (m *Manager) OwnersWithCalls() (n int) {
	for _, l := range []*lane{m.reads, m.writes, m.revocations} {
		l.mu.Lock()
		n += len(l.owners)
		l.mu.Unlock()
	}
	return n
}
