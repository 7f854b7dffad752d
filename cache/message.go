package cache

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"hash/crc32"
)

// An origin is an instance that sends. It is new with every Feed, so that counts
// begin at zero.
type origin [16]byte

func newOrigin() (o origin) {
	rand.Read(o[:])
	return o
}

// A beat tells an origin's messages apart. It cannot be guessed, so that nobody
// can answer in the place of the bus before the bus has the message.
type beat [8]byte

func newBeat() (b beat) {
	rand.Read(b[:])
	return b
}

// A message is what instances send each other: what to forget, or, when it
// names nothing, that the sender is there.
type message struct {
	origin origin
	beat   beat
	change uint64 // counts the origin's messages that name something, this one included
	all    bool   // an earlier one may be lost: doubt everything
	bye    bool   // the last one of its origin
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
	messageVersion = 1
	maxNames       = 64 // in one message, keys and groups together
	headSize       = 1 + len(origin{}) + len(beat{}) + 8 + 1 + 1 + 1
	crcSize        = 4
)

var messageText = base64.RawURLEncoding.Strict()

const (
	flagAll = 1 << iota
	flagBye
)

// encode writes the version, the origin, the beat, the count, the flags, how many
// keys and groups there are, those, and a CRC-32 of it, as base64.
func (m *message) encode() string {
	b := make([]byte, 0, headSize+maxNames*len(Key{})+crcSize)
	b = append(b, messageVersion)
	b = append(b, m.origin[:]...)
	b = append(b, m.beat[:]...)
	b = binary.BigEndian.AppendUint64(b, m.change)
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
	b = binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b))
	return messageText.EncodeToString(b)
}

var errMessage = errors.New("cache: not a message of an instance")

// decode reads what encode wrote, and nothing else. The checksum is there for
// accidents: of what somebody forged on purpose nothing is believed but that
// something has changed.
func decode(text string) (m message, err error) {
	if len(text) > MaxMessage {
		return m, errMessage
	}
	b, err := messageText.DecodeString(text)
	if err != nil || len(b) < headSize+crcSize || b[0] != messageVersion {
		return m, errMessage
	}
	end := len(b) - crcSize
	if binary.BigEndian.Uint32(b[end:]) != crc32.ChecksumIEEE(b[:end]) {
		return m, errMessage
	}
	copy(m.origin[:], b[1:])
	copy(m.beat[:], b[17:])
	m.change = binary.BigEndian.Uint64(b[25:])
	m.all, m.bye = b[33]&flagAll != 0, b[33]&flagBye != 0
	keys, groups, names := int(b[34]), int(b[35]), b[headSize:end]
	if keys+groups > maxNames || len(names) != (keys+groups)*len(Key{}) {
		return m, errMessage
	}
	m.keys, names = take(names, keys)
	m.groups, _ = take(names, groups)
	if m.encode() != text { // base64 passes over line breaks
		return m, errMessage
	}
	return m, nil
}

func take(b []byte, n int) (names []Key, rest []byte) {
	for range n {
		names = append(names, Key(b[:len(Key{})]))
		b = b[len(Key{}):]
	}
	return names, b
}
