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

// An origin is an instance that sends. It is new with every Group, so that counts
// begin at zero.
type origin [16]byte

// A beat distinguishes an origin's messages. It cannot be guessed, so that no one can
// send an echo before the bus has the message.
type beat [8]byte

func newBeat() (b beat) {
	rand.Read(b[:])
	return b
}

// A message is what instances send each other: what to invalidate, or, when it
// names nothing, that the sender is there.
type message struct {
	origin origin
	beat   beat
	seq    uint64        // counts the origin's messages, this one included
	change uint64        // counts those that name something, this one included
	ago    time.Duration // since the last of those before this one
	next   time.Duration // within which the origin sends to all again
	size   uint32        // how many instances the origin knows, itself included
	mark   uint64        // see GroupOptions.Mark
	all    bool          // an earlier one may be lost: mark everything stale
	bye    bool          // the last one of its origin
	keys   []Key
	groups []Key
}

// changes reports whether the message is one of those that change counts.
func (m *message) changes() bool { return len(m.keys)+len(m.groups) > 0 }

// before is the count of changes before this message.
func (m *message) before() uint64 {
	if m.changes() {
		return m.change - 1
	}
	return m.change
}

const (
	messageVersion = 2
	maxNames       = 64 // in one message, keys and groups together
	headSize       = 1 + len(origin{}) + len(beat{}) + 8 + 8 + 4 + 4 + 4 + 8 + 1 + 1 + 1
	macSize        = 16 // of the bytes of an HMAC-SHA-256
)

var messageText = base64.RawURLEncoding.Strict()

const (
	flagAll = 1 << iota
	flagBye
)

// encode writes the version, the fields in their order, times in milliseconds,
// how many keys and groups there are, those, and a MAC of it, as base64.
func (m *message) encode(key []byte) string {
	b := make([]byte, 0, headSize+maxNames*len(Key{})+sha256.Size)
	b = append(b, messageVersion)
	b = append(b, m.origin[:]...)
	b = append(b, m.beat[:]...)
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
	if m.bye {
		flags |= flagBye
	}
	b = append(b, flags, byte(len(m.keys)), byte(len(m.groups)))
	for _, names := range [][]Key{m.keys, m.groups} {
		for i := range names {
			b = append(b, names[i][:]...)
		}
	}
	return messageText.EncodeToString(append(b, mac(key, b)...))
}

// mac authenticates a message. Without a key it is a checksum, there for
// accidents.
func mac(key, b []byte) []byte {
	h := hmac.New(sha256.New, key)
	h.Write(b)
	return h.Sum(nil)[:macSize]
}

var errMessage = errors.New("cache: message not authentic: damaged, forged, or from an instance with another secret")

// decode reads what encode wrote with the same key, and nothing else.
func decode(text string, key []byte) (m message, err error) {
	if len(text) > MaxMessage || strings.ContainsAny(text, "\r\n") { // which base64 passes over
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
	copy(m.beat[:], b[17:])
	m.seq = binary.BigEndian.Uint64(b[25:])
	m.change = binary.BigEndian.Uint64(b[33:])
	m.ago = time.Duration(binary.BigEndian.Uint32(b[41:])) * time.Millisecond
	m.next = time.Duration(binary.BigEndian.Uint32(b[45:])) * time.Millisecond
	m.size = binary.BigEndian.Uint32(b[49:])
	m.mark = binary.BigEndian.Uint64(b[53:])
	m.all, m.bye = b[61]&flagAll != 0, b[61]&flagBye != 0
	keys, groups, names := int(b[62]), int(b[63]), b[headSize:]
	if keys+groups > maxNames || len(names) != (keys+groups)*len(Key{}) || b[61] > flagAll|flagBye {
		return m, errMessage
	}
	m.keys, names = take(names, keys)
	m.groups, _ = take(names, groups)
	return m, nil
}

func take(b []byte, n int) (names []Key, rest []byte) {
	for range n {
		names = append(names, Key(b[:len(Key{})]))
		b = b[len(Key{}):]
	}
	return names, b
}
