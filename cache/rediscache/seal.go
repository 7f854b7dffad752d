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

// skew is how far the clocks of instances may be apart for an entry with this
// ttl. An entry is taken for that much older than it seems, so that it never
// outlives its ttl.
func skew(ttl time.Duration) time.Duration { return min(10*time.Second, ttl/4) }

// A seal makes entries that nobody without the secret can make, change, or
// move to another key or namespace.
type seal struct {
	hash  func() hash.Hash // a func, so that no print shows the secret
	label []byte           // keeps the secret's other uses, and other namespaces, apart
}

func newSeal(secret []byte, namespace string) *seal {
	secret = bytes.Clone(secret)
	return &seal{
		hash:  func() hash.Hash { return hmac.New(sha256.New, secret) },
		label: []byte("keyhatch/rediscache/1\x00" + namespace + "\x00"),
	}
}

// MACKey is [cache.Bus]'s: a key that is derived from the secret and is good for
// the messages of this namespace alone.
func (c *Cache) MACKey() []byte {
	h := c.seal.hash()
	h.Write([]byte("keyhatch/rediscache/bus/1\x00" + c.names.namespace))
	return h.Sum(nil)
}

// An entry is what the server keeps for a key: a byte for what it is, two
// times in milliseconds of 8 bytes each, the HMAC, and the value.
type entry struct {
	value   []byte
	absent  bool
	granted time.Time // the time of its lease, by the clock of the instance that set it
	ttl     time.Duration
}

// The first byte of what the server keeps.
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

// mac needs no lengths: all but the last part have a fixed one, and no
// namespace has a zero byte.
func (s *seal) mac(key cache.Key, head, value []byte) []byte {
	h := s.hash()
	h.Write(s.label)
	h.Write(key[:])
	h.Write(head)
	h.Write(value)
	return h.Sum(nil)
}

// item is what the entry is to a reader to whom the server has said how much
// of its ttl is left.
//
// Anyone who can write to the server can put back an entry that was deleted. It
// is authentic, and its life is what he says, so that the server's word alone
// would let it live for ever. Hence the time under the seal, from which the entry
// lives for its ttl at most, by the clock of any instance.
func (e entry) item(left time.Duration, now time.Time) (item cache.Item, ok bool) {
	s := skew(e.ttl)
	old := now.Sub(e.granted)
	if left < 0 || left > e.ttl-s || old < -s || old > e.ttl-s {
		return cache.Item{}, false
	}
	return cache.Item{Value: e.value, Absent: e.absent, Age: max(e.ttl-s-left, old+s)}, true
}
