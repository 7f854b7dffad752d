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
// random is 30 base62 characters (178 bits). mac is 8, see macKey, if MACKeys are
// set. checksum is the CRC-32 (IEEE) of everything before it, in base62, padded to
// 6 with zeros. The length tells the two forms apart. A token has one spelling. With
// a prefix of up to 10 characters it has at most 55 bytes, so that its digest takes
// a single block of SHA-256.
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
	withoutMAC bool             // tokens without a MAC are admitted beside macs
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

// anchored makes each pattern match a whole token or nothing.
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

// generate makes a new token.
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

// wellFormed reports whether token has one of the forms that are admitted: the
// length, the prefix and the alphabet.
//
// Without MACKeys both are, so that giving up MACs locks nobody out. With them
// only the form with a MAC is, since a forger would leave the MAC off, unless
// AcceptWithoutMAC says otherwise.
func (f *tokenFormat) wellFormed(token string) bool {
	return (f.hasMAC(token) || len(f.macs) == 0 || f.withoutMAC) && f.own(token)
}

// hasMAC reports whether a token of an own form has a MAC.
func (f *tokenFormat) hasMAC(token string) bool {
	return len(token) == len(f.prefix)+randomLen+macLen+checksumLen
}

// own reports whether token has one of the two forms, admitted or not.
func (f *tokenFormat) own(token string) bool {
	if !f.hasMAC(token) && len(token) != len(f.prefix)+randomLen+checksumLen {
		return false
	}
	if token[:len(f.prefix)] != f.prefix {
		return false
	}
	for i := len(f.prefix); i < len(token); i++ {
		if !isBase62[token[i]] {
			return false
		}
	}
	return true
}

// genuine checks the checksum and the MAC of a well-formed token. A good MAC
// admits nobody; a bad one spares the store a look-up.
func (f *tokenFormat) genuine(token string) bool {
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

// checksum goes byte by byte, since crc32.ChecksumIEEE would have the token on
// the heap, to be no faster at this length.
func checksum(body string) (digits [checksumLen]byte) {
	crc := ^uint32(0)
	for i := range len(body) {
		crc = crc32.IEEETable[byte(crc)^body[i]] ^ crc>>8
	}
	putBase62(digits[:], uint64(^crc))
	return digits
}

// isLegacy reports whether token is one of an earlier system. One of an own form
// never is: a pattern that matches it must not switch the checksum off.
func (f *tokenFormat) isLegacy(token string) bool {
	if len(f.legacy) == 0 || len(token) > maxLegacy || f.own(token) || !text.IsVisibleASCII(token) {
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

// DigestOf returns the SHA-256 of a token, which is all that a store keeps of
// it. [Manager.Register] takes it for tokens made elsewhere.
//
// A fast hash is right for a token: it cannot be guessed, so there is nothing
// to slow down. NIST SP 800-63B asks for a salted and slow hash only for
// secrets of less than 112 bits. Tokens of an earlier system must have as many.
func DigestOf(token string) store.Digest {
	// The copy stays on the stack; a conversion to []byte would not.
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

// isBase62 says which bytes are in the alphabet.
var isBase62 = func() (table [256]bool) {
	for i := range len(base62) {
		table[base62[i]] = true
	}
	return table
}()

// randomBase62 returns n characters, each with the same probability.
func randomBase62(n int) string {
	return string(appendRandom(make([]byte, 0, n), n))
}

// appendRandom takes 6 bits at a time and drops the two of 64 values that
// would make some characters likelier than others.
func appendRandom(b []byte, n int) []byte {
	var pool [48]byte
	for n > 0 {
		// Never fails: it ends the program where the system has no randomness.
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

// putBase62 fills b with the last digits of v, with zeros before them.
func putBase62(b []byte, v uint64) {
	for i := len(b) - 1; i >= 0; i-- {
		b[i] = base62[v%62]
		v /= 62
	}
}
