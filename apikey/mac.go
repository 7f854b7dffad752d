package apikey

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
)

// minMACKey is the minimum length of a MAC key in bytes: the length of the hash.
const minMACKey = sha256.Size

// macDomain separates the MACs from other uses of the key. The string is part of the
// token format. The input that follows it, which is the prefix, an underscore and 30
// random characters, is unambiguous, since the random part has a fixed length.
const macDomain = "keyhatch token tag v1\x00"

// macSpace is 62^8, the number of MACs. Reducing 64 bits modulo macSpace makes some
// MACs likelier than others by less than one part in 80,000, which does not help a
// forger.
const macSpace = 62 * 62 * 62 * 62 * 62 * 62 * 62 * 62

// A macKey computes the MACs of one key:
//
//	HMAC-SHA-256(key, macDomain prefix "_" random)
//
// A MAC is the first eight bytes of the result, as a big-endian number modulo 62^8,
// in base62, padded to 8 characters with zeros.
//
// A macKey holds the key as HMAC uses it (RFC 2104): padded to a block of SHA-256 and
// XORed. It does not use crypto/hmac, whose state would hold most of the token on the
// heap.
type macKey struct {
	inner, outer [sha256.BlockSize]byte
}

func newMACKeys(keys [][]byte) ([]*macKey, error) {
	if keys != nil && len(keys) == 0 {
		return nil, &InvalidError{Field: "MACKeys", Reason: "must not be empty; for tokens without a MAC, leave it nil"}
	}
	var ring []*macKey
	for i, key := range keys {
		switch {
		case len(key) < minMACKey:
			return nil, &InvalidError{Field: "MACKeys", Reason: "must each have 32 bytes or more"}
		case bytes.Count(key, []byte{key[0]}) == len(key):
			return nil, &InvalidError{Field: "MACKeys", Reason: "must be random, not one byte repeated"}
		}
		for _, other := range keys[:i] {
			if bytes.Equal(key, other) {
				return nil, &InvalidError{Field: "MACKeys", Reason: "must not repeat a key"}
			}
		}
		ring = append(ring, newMACKey(key))
	}
	return ring, nil
}

func newMACKey(key []byte) *macKey {
	var block [sha256.BlockSize]byte
	if len(key) > len(block) {
		sum := sha256.Sum256(key)
		key = sum[:]
	}
	copy(block[:], key)
	k := &macKey{}
	for i, b := range block {
		k.inner[i], k.outer[i] = b^0x36, b^0x5c
	}
	return k
}

// sum returns the MAC of signed, the part of a token before the MAC, as a number. It
// keeps everything derived from the token on the stack.
func (k *macKey) sum(signed string) uint64 {
	var in [sha256.BlockSize + len(macDomain) + maxToken]byte
	n := copy(in[:], k.inner[:])
	n += copy(in[n:], macDomain)
	n += copy(in[n:], signed)
	digest := sha256.Sum256(in[:n])
	clear(in[:])
	var out [sha256.BlockSize + sha256.Size]byte
	n = copy(out[:], k.outer[:])
	n += copy(out[n:], digest[:])
	digest = sha256.Sum256(out[:n])
	return binary.BigEndian.Uint64(digest[:]) % macSpace
}

// verify compares in constant time.
func (k *macKey) verify(signed, mac string) bool {
	var wantMAC, gotMAC [macLen]byte
	putBase62(wantMAC[:], k.sum(signed))
	copy(gotMAC[:], mac)
	return subtle.ConstantTimeCompare(wantMAC[:], gotMAC[:]) == 1
}
