package cache

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"math"
	"strings"
	"time"
)

// An origin identifies the sender of a message. Every Group has a new one, so that its
// counts begin at zero.
type origin [16]byte

// A nonce identifies a message of an origin. It cannot be guessed, so that no echo can be
// forged before the bus has the message.
type nonce [8]byte

func newNonce() (n nonce) {
	rand.Read(n[:])
	return n
}

// A message tells other instances which keys and tags to invalidate. A message without
// keys and tags is a heartbeat.
type message struct {
	origin  origin
	nonce   nonce
	seq     uint64        // number of the message among the messages of its origin, from 1
	change  uint64        // number of changes of the origin, up to and including this message
	ago     time.Duration // time since the previous change
	next    time.Duration // time within which the origin sends to all instances again
	size    uint32        // number of instances that the origin knows, including itself
	mark    uint64        // see GroupOptions.Mark
	all     bool          // an earlier change may be lost: mark all entries stale
	leaving bool          // the last message of its origin
	keys    []Key
	tags    []Key
}

// changes reports whether the message is a change: whether it names keys or tags.
func (m *message) changes() bool { return len(m.keys)+len(m.tags) > 0 }

// before returns the number of changes before this message.
func (m *message) before() uint64 {
	if m.changes() {
		return m.change - 1
	}
	return m.change
}

const (
	messageVersion = 2
	maxNames       = 64 // keys and tags in a message
	headSize       = 1 + len(origin{}) + len(nonce{}) + 8 + 8 + 4 + 4 + 4 + 8 + 1 + 1 + 1
	macSize        = 16 // bytes of the truncated HMAC-SHA-256
)

var messageText = base64.RawURLEncoding.Strict()

const (
	flagAll = 1 << iota
	flagLeaving
)

// encode returns the message in base64: the version, the fields in their order with times
// in milliseconds, the numbers of keys and tags, the keys and tags, and a MAC.
func (m *message) encode(key []byte) string {
	b := make([]byte, 0, headSize+maxNames*len(Key{})+sha256.Size)
	b = append(b, messageVersion)
	b = append(b, m.origin[:]...)
	b = append(b, m.nonce[:]...)
	b = binary.BigEndian.AppendUint64(b, m.seq)
	b = binary.BigEndian.AppendUint64(b, m.change)
	for _, d := range []time.Duration{m.ago, m.next} {
		b = binary.BigEndian.AppendUint32(b, uint32(min(d.Milliseconds(), math.MaxUint32)))
	}
	b = binary.BigEndian.AppendUint32(b, m.size)
	b = binary.BigEndian.AppendUint64(b, m.mark)
	flags := byte(0)
	if m.all {
		flags |= flagAll
	}
	if m.leaving {
		flags |= flagLeaving
	}
	b = append(b, flags, byte(len(m.keys)), byte(len(m.tags)))
	for _, names := range [][]Key{m.keys, m.tags} {
		for i := range names {
			b = append(b, names[i][:]...)
		}
	}
	return messageText.EncodeToString(append(b, mac(key, b)...))
}

// mac authenticates a message. Without a key, it is only a checksum that detects damage.
func mac(key, b []byte) []byte {
	h := hmac.New(sha256.New, key)
	h.Write(b)
	return h.Sum(nil)[:macSize]
}

var errMessage = errors.New("cache: message not authentic: damaged, forged, or from an instance with another secret")

// decode decodes a message that encode has encoded with the same key. It returns
// errMessage for any other string.
func decode(text string, key []byte) (m message, err error) {
	if len(text) > MaxMessage || strings.ContainsAny(text, "\r\n") { // package base64 ignores line breaks
		return m, errMessage
	}
	b, err := messageText.DecodeString(text)
	if err != nil || len(b) < headSize+macSize {
		return m, errMessage
	}
	b, sum := b[:len(b)-macSize], b[len(b)-macSize:]
	if !hmac.Equal(sum, mac(key, b)) || b[0] != messageVersion {
		return m, errMessage
	}
	copy(m.origin[:], b[1:])
	copy(m.nonce[:], b[17:])
	m.seq = binary.BigEndian.Uint64(b[25:])
	m.change = binary.BigEndian.Uint64(b[33:])
	m.ago = time.Duration(binary.BigEndian.Uint32(b[41:])) * time.Millisecond
	m.next = time.Duration(binary.BigEndian.Uint32(b[45:])) * time.Millisecond
	m.size = binary.BigEndian.Uint32(b[49:])
	m.mark = binary.BigEndian.Uint64(b[53:])
	m.all, m.leaving = b[61]&flagAll != 0, b[61]&flagLeaving != 0
	keys, tags, names := int(b[62]), int(b[63]), b[headSize:]
	if keys+tags > maxNames || len(names) != (keys+tags)*len(Key{}) || b[61] > flagAll|flagLeaving {
		return m, errMessage
	}
	m.keys, names = take(names, keys)
	m.tags, _ = take(names, tags)
	return m, nil
}

func take(b []byte, n int) (names []Key, rest []byte) {
	for range n {
		names = append(names, Key(b[:len(Key{})]))
		b = b[len(Key{}):]
	}
	return names, b
}
