package rediscache

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"time"

	"github.com/keyhatch/keyhatch/cache"
)

// skew returns the tolerated difference between the clocks of two instances, for an
// entry with this TTL. An entry counts as that much older than it seems, so that it
// never outlives its TTL.
func skew(ttl time.Duration) time.Duration { return min(10*time.Second, ttl/4) }

// A seal authenticates entries. Without the secret, it is impossible to make or change
// one, or to move it to another key or namespace.
type seal struct {
	hash  func() hash.Hash // a func, so that a printed seal shows no secret
	label []byte           // separates namespaces, and other uses of the secret
}

func newSeal(secret []byte, namespace string) *seal {
	secret = bytes.Clone(secret)
	return &seal{
		hash:  func() hash.Hash { return hmac.New(sha256.New, secret) },
		label: []byte("keyhatch/rediscache/1\x00" + namespace + "\x00"),
	}
}

// MACKey returns the key that authenticates messages, as [cache.Bus] describes. It is
// derived from the secret and the namespace.
func (c *Cache) MACKey() []byte {
	h := c.seal.hash()
	h.Write([]byte("keyhatch/rediscache/bus/1\x00" + c.names.namespace))
	return h.Sum(nil)
}

// An entry is the content of one name in the server. It is encoded as a byte for its
// kind, granted and ttl in milliseconds, each in 8 bytes, the HMAC, and the value.
type entry struct {
	value   []byte
	absent  bool
	granted time.Time // the time of its lease, by the clock of the instance that set it
	ttl     time.Duration
}

// The first byte of an encoded entry or of a lease.
const (
	isValue  = 'V'
	isAbsent = 'A'
	isLease  = 'L'
)

const (
	head   = 1 + 8 + 8
	prefix = head + sha256.Size
)

func (s *seal) close(key cache.Key, e entry) []byte {
	kind := byte(isValue)
	if e.absent {
		kind = isAbsent
	}
	b := make([]byte, 0, prefix+len(e.value))
	b = append(b, kind)
	b = binary.BigEndian.AppendUint64(b, uint64(e.granted.UnixMilli()))
	b = binary.BigEndian.AppendUint64(b, uint64(e.ttl.Milliseconds()))
	b = append(b, s.mac(key, b, e.value)...)
	return append(b, e.value...)
}

func (s *seal) open(key cache.Key, b []byte) (e entry, ok bool) {
	if len(b) < prefix || !hmac.Equal(s.mac(key, b[:head], b[prefix:]), b[head:prefix]) {
		return entry{}, false
	}
	return entry{
		value:   b[prefix:],
		absent:  b[0] == isAbsent,
		granted: time.UnixMilli(int64(binary.BigEndian.Uint64(b[1:]))),
		ttl:     time.Duration(binary.BigEndian.Uint64(b[9:])) * time.Millisecond,
	}, true
}

// mac hashes no lengths: every part except the last has a fixed length, and a
// namespace has no zero byte.
func (s *seal) mac(key cache.Key, head, value []byte) []byte {
	h := s.hash()
	h.Write(s.label)
	h.Write(key[:])
	h.Write(head)
	h.Write(value)
	return h.Sum(nil)
}

// item converts an entry to a [cache.Item]. left is the remaining TTL that the server
// reports. ok is false if the entry has expired.
//
// Anyone who can write to the server can restore a deleted entry, which is authentic,
// and choose its remaining TTL. So item does not rely only on the remaining TTL: an entry also
// expires a TTL after granted, which the seal protects.
func (e entry) item(left time.Duration, now time.Time) (item cache.Item, ok bool) {
	s := skew(e.ttl)
	old := now.Sub(e.granted)
	if left < 0 || left > e.ttl-s || old < -s || old > e.ttl-s {
		return cache.Item{}, false
	}
	return cache.Item{Value: e.value, Absent: e.absent, Age: max(e.ttl-s-left, old+s)}, true
}
