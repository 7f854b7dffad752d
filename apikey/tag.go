package apikey

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"hash"
	"sync"
)

// minTagKey is the least length of a tag key: that of the hash.
const minTagKey = sha256.Size

// tagDomain keeps tags apart from whatever else the key may be used for. What
// follows it, the prefix, an underscore and 30 characters, can be split in one
// way only, since the random part has a fixed length.
const tagDomain = "keyhatch token tag v1\x00"

// tagSpace is 62^8. The first eight bytes of an HMAC modulo that are uneven by
// less than one part in 80,000, which helps nobody to guess one.
const tagSpace = 62 * 62 * 62 * 62 * 62 * 62 * 62 * 62

// A tagger computes the tags of one key:
//
//	HMAC-SHA-256(key, tagDomain prefix "_" random)
//
// the first eight bytes as a big-endian number modulo 62^8, in base62, padded
// to 8 with zeros.
type tagger struct {
	states sync.Pool // of *tagState
}

// A tagState is ready for another computation, without allocating.
type tagState struct {
	mac hash.Hash
	in  [len(tagDomain) + maxToken]byte
	out [sha256.Size]byte
}

func newTaggers(keys [][]byte) ([]*tagger, error) {
	var ring []*tagger
	for i, key := range keys {
		switch {
		case len(key) < minTagKey:
			return nil, &InvalidError{Field: "TagKeys", Reason: "must each have 32 bytes or more"}
		case bytes.Count(key, []byte{key[0]}) == len(key):
			return nil, &InvalidError{Field: "TagKeys", Reason: "must be random, not one byte repeated"}
		}
		for _, other := range keys[:i] {
			if bytes.Equal(key, other) {
				return nil, &InvalidError{Field: "TagKeys", Reason: "must not repeat a key"}
			}
		}
		ring = append(ring, newTagger(bytes.Clone(key)))
	}
	return ring, nil
}

func newTagger(key []byte) *tagger {
	t := &tagger{}
	t.states.New = func() any { return &tagState{mac: hmac.New(sha256.New, key)} }
	return t
}

// tag returns the tag of what stands before it in a token, as a number.
func (t *tagger) tag(signed string) uint64 {
	s := t.states.Get().(*tagState)
	defer t.states.Put(s)
	n := copy(s.in[:], tagDomain)
	n += copy(s.in[n:], signed)
	s.mac.Reset()
	s.mac.Write(s.in[:n])
	clear(s.in[:n]) // most of a token
	return binary.BigEndian.Uint64(s.mac.Sum(s.out[:0])) % tagSpace
}

// verify compares in constant time.
func (t *tagger) verify(signed, tag string) bool {
	var want, got [tagLen]byte
	putBase62(want[:], t.tag(signed))
	copy(got[:], tag)
	return subtle.ConstantTimeCompare(want[:], got[:]) == 1
}
