package apikey

import (
	"crypto/rand"
	"crypto/sha256"
	"hash/crc32"
	"regexp"
	"strings"

	"github.com/keyhatch/keyhatch/internal/text"
	"github.com/keyhatch/keyhatch/store"
)

// A token is
//
//	prefix "_" random [mac] checksum
//
// random has 30 base62 characters (178 bits). mac has 8, and is present if MACKeys are
// set; see macKey. checksum is the CRC-32 (IEEE) of everything before it, in base62,
// padded to 6 characters with zeros. The length tells the two forms apart. A token has
// only one spelling. With a prefix of up to 10 characters it has at most 55 bytes, so
// that its digest takes a single block of SHA-256.
const (
	randomLen   = 30
	macLen      = 8
	checksumLen = 6
	hintLen     = 4
	maxToken    = maxPrefix + 1 + randomLen + macLen + checksumLen

	minPrefix, maxPrefix = 2, 20

	// maxLegacy bounds tokens of earlier systems, and any credential.
	maxLegacy = 512
)

// A tokenFormat makes and recognizes tokens with one prefix.
type tokenFormat struct {
	prefix     string // with the underscore
	macs       []*macKey
	withoutMAC bool             // tokens without a MAC are accepted even if there are macs
	legacy     []*regexp.Regexp // anchored
}

func newTokenFormat(o *Options) (*tokenFormat, error) {
	prefix := o.Prefix
	if !validPrefix(prefix) {
		return nil, &InvalidError{Field: "Prefix", Reason: "must have 2 to 20 characters of a-z, 0-9 and _, begin with a letter, and have no double or trailing underscore"}
	}
	f := &tokenFormat{prefix: prefix + "_", withoutMAC: o.AcceptWithoutMAC}
	var err error
	if f.macs, err = newMACKeys(o.MACKeys); err != nil {
		return nil, err
	}
	if o.AcceptWithoutMAC && len(f.macs) == 0 {
		return nil, &InvalidError{Field: "AcceptWithoutMAC", Reason: "needs MACKeys; without them, no token needs a MAC"}
	}
	f.legacy, err = anchored(o.LegacyFormats)
	return f, err
}

func validPrefix(s string) bool {
	if len(s) < minPrefix || len(s) > maxPrefix || s[0] < 'a' || s[0] > 'z' {
		return false
	}
	for i := range len(s) {
		if c := s[i]; c != '_' && (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			return false
		}
	}
	return !strings.Contains(s, "__") && !strings.HasSuffix(s, "_")
}

// anchored returns the patterns, changed to match only whole tokens.
func anchored(patterns []*regexp.Regexp) ([]*regexp.Regexp, error) {
	var whole []*regexp.Regexp
	for _, p := range patterns {
		if p == nil {
			return nil, &InvalidError{Field: "LegacyFormats", Reason: "must not contain nil"}
		}
		if p.MatchString("") {
			return nil, &InvalidError{Field: "LegacyFormats", Reason: "must not match the empty string"}
		}
		re, err := regexp.Compile(`\A(?:` + p.String() + `)\z`)
		if err != nil {
			return nil, &InvalidError{Field: "LegacyFormats", Reason: "must be regular expressions in RE2 syntax"}
		}
		whole = append(whole, re)
	}
	return whole, nil
}

// generate returns a new token.
func (f *tokenFormat) generate() string {
	b := make([]byte, 0, maxToken)
	b = append(b, f.prefix...)
	b = appendRandom(b, randomLen)
	if len(f.macs) > 0 {
		mac := f.macs[0].sum(string(b))
		b = b[:len(b)+macLen]
		putBase62(b[len(b)-macLen:], mac)
	}
	sum := checksum(string(b))
	return string(append(b, sum[:]...))
}

// wellFormed reports whether token has the length, the prefix and the alphabet of an
// accepted form.
//
// Without MACKeys both forms are accepted, so that tokens with a MAC still work after
// MACKeys are removed. With MACKeys, the form without a MAC is accepted only if
// AcceptWithoutMAC is set, since a forger would leave out the MAC.
func (f *tokenFormat) wellFormed(token string) bool {
	return (f.hasMAC(token) || len(f.macs) == 0 || f.withoutMAC) && f.hasOwnForm(token)
}

// hasMAC reports whether a token for which hasOwnForm returns true has a MAC.
func (f *tokenFormat) hasMAC(token string) bool {
	return len(token) == len(f.prefix)+randomLen+macLen+checksumLen
}

// hasOwnForm reports whether token has one of the two forms, accepted or not.
func (f *tokenFormat) hasOwnForm(token string) bool {
	if !f.hasMAC(token) && len(token) != len(f.prefix)+randomLen+checksumLen {
		return false
	}
	if token[:len(f.prefix)] != f.prefix {
		return false
	}
	return isBase62(token[len(f.prefix):])
}

// verify reports whether a well-formed token has a correct checksum and MAC. A correct
// MAC does not make a token valid. A wrong one saves a look-up in the store.
func (f *tokenFormat) verify(token string) bool {
	body, sum := token[:len(token)-checksumLen], token[len(token)-checksumLen:]
	if want := checksum(body); sum != string(want[:]) {
		return false
	}
	if len(f.macs) == 0 || !f.hasMAC(token) {
		return true
	}
	signed, mac := body[:len(body)-macLen], body[len(body)-macLen:]
	for _, k := range f.macs {
		if k.verify(signed, mac) {
			return true
		}
	}
	return false
}

// checksum computes the CRC-32, four bytes at a time. crc32.ChecksumIEEE would move the token
// to the heap and is no faster at this length.
func checksum(body string) (digits [checksumLen]byte) {
	crc := ^uint32(0)
	for ; len(body) >= 4; body = body[4:] {
		crc ^= uint32(body[0]) | uint32(body[1])<<8 | uint32(body[2])<<16 | uint32(body[3])<<24
		crc = crcTables[3][byte(crc)] ^ crcTables[2][byte(crc>>8)] ^ crcTables[1][byte(crc>>16)] ^ crcTables[0][crc>>24]
	}
	for i := range len(body) {
		crc = crcTables[0][byte(crc)^body[i]] ^ crc>>8
	}
	putBase62(digits[:], uint64(^crc))
	return digits
}

// crcTables[n][b] is the CRC-32 of the byte b followed by n zero bytes.
var crcTables = func() (tables [4]crc32.Table) {
	tables[0] = *crc32.IEEETable
	for n := 1; n < len(tables); n++ {
		for b, crc := range tables[n-1] {
			tables[n][b] = tables[0][byte(crc)] ^ crc>>8
		}
	}
	return tables
}()

// isLegacy reports whether token is one of an earlier system. A token in a form of this
// Manager never is, so that a pattern that matches it cannot bypass the checksum.
func (f *tokenFormat) isLegacy(token string) bool {
	if len(f.legacy) == 0 || len(token) > maxLegacy || f.hasOwnForm(token) || !text.IsVisibleASCII(token) {
		return false
	}
	for _, re := range f.legacy {
		if re.MatchString(token) {
			return true
		}
	}
	return false
}

func (f *tokenFormat) hint(token string) string { return token[:len(f.prefix)+hintLen] }

func (f *tokenFormat) pattern() string { return `\b` + f.prefix + `[0-9A-Za-z]{36,255}\b` }

// DigestOf returns the SHA-256 of a token. A store holds only the digest. Pass it to
// [Manager.Register] for tokens that were generated elsewhere.
//
// A fast hash is sufficient, since a token cannot be guessed. NIST SP 800-63B requires
// a salted and slow hash only for secrets of less than 112 bits. Tokens of an earlier
// system must have at least 112 bits of randomness.
func DigestOf(token string) store.Digest {
	// The copy stays on the stack; a conversion to []byte would move the token to
	// the heap.
	var b [maxToken]byte
	if len(token) > len(b) {
		return digestOfLong(token)
	}
	return sha256.Sum256(b[:copy(b[:], token)])
}

func digestOfLong(token string) store.Digest {
	var b [maxLegacy]byte
	if len(token) > len(b) {
		return sha256.Sum256([]byte(token))
	}
	return sha256.Sum256(b[:copy(b[:], token)])
}

const base62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// isBase62 reports whether s has only characters of the alphabet. It has few branches, which
// makes it faster than a loop that stops at the first other character.
func isBase62(s string) bool {
	var others byte
	for ; len(s) >= 4; s = s[4:] {
		others |= notBase62[s[0]] | notBase62[s[1]] | notBase62[s[2]] | notBase62[s[3]]
	}
	for i := range len(s) {
		others |= notBase62[s[i]]
	}
	return others == 0
}

// notBase62 has a 1 for each byte that is not in the alphabet.
var notBase62 = func() (table [256]byte) {
	for b := range table {
		if strings.IndexByte(base62, byte(b)) < 0 {
			table[b] = 1
		}
	}
	return table
}()

// randomBase62 returns n characters, each with the same probability.
func randomBase62(n int) string {
	return string(appendRandom(make([]byte, 0, n), n))
}

// appendRandom appends n random characters. It takes 6 bits at a time and rejects two
// of the 64 values, so that each character has the same probability.
func appendRandom(b []byte, n int) []byte {
	var pool [48]byte
	for n > 0 {
		// Read never returns an error. It ends the program if the system's random
		// source fails.
		_, _ = rand.Read(pool[:])
		for _, r := range pool {
			if r >>= 2; r < 62 && n > 0 {
				b = append(b, base62[r])
				n--
			}
		}
	}
	clear(pool[:])
	return b
}

// putBase62 fills b with the last digits of v in base62, padded with zeros.
func putBase62(b []byte, v uint64) {
	for i := len(b) - 1; i >= 0; i-- {
		b[i] = base62[v%62]
		v /= 62
	}
}
