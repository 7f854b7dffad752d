package apikey

import (
	"crypto/sha256"
	"hash/crc32"
	"regexp"
	"strings"

	"github.com/keyhatch/keyhatch/store"
)

// A token is
//
//	prefix "_" random [tag] checksum
//
// random is 30 base62 characters (178 bits); tag, where tags are in use, 8 (see
// tag.go); checksum is the CRC-32 (IEEE) of all that stands before it, in
// base62, padded to 6 with zeros. The length tells whether there is a tag. One
// token has one spelling. At most 55 bytes, it fits a single block of SHA-256.
const (
	randomLen   = 30
	tagLen      = 8
	checksumLen = 6
	hintLen     = 4
	maxToken    = maxPrefix + 1 + randomLen + tagLen + checksumLen

	minPrefix, maxPrefix = 2, 10

	// maxLegacy bounds tokens of earlier systems, and any credential.
	maxLegacy = 512
)

// A tokenFormat makes and recognizes tokens with one prefix.
type tokenFormat struct {
	prefix string // with the underscore
	tags   []*tagger
	old    []*regexp.Regexp // legacy formats, anchored
}

func newTokenFormat(prefix string, tagKeys [][]byte, legacy []*regexp.Regexp) (*tokenFormat, error) {
	if !validPrefix(prefix) {
		return nil, &InvalidError{Field: "Prefix", Reason: "must have 2 to 10 characters of a-z, 0-9 and _, begin with a letter, and have no double or trailing underscore"}
	}
	f := &tokenFormat{prefix: prefix + "_"}
	var err error
	if f.tags, err = newTaggers(tagKeys); err != nil {
		return nil, err
	}
	f.old, err = anchored(legacy)
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
	if len(f.tags) > 0 {
		tag := f.tags[0].tag(string(b))
		b = b[:len(b)+tagLen]
		putBase62(b[len(b)-tagLen:], tag)
	}
	sum := checksum(string(b))
	return string(append(b, sum[:]...))
}

// wellFormed looks at the length, the prefix and the alphabet.
//
// Without tag keys both forms are admitted, so that giving up tags locks nobody
// out. With them only the tagged form is, since a forger would leave the tag
// off.
func (f *tokenFormat) wellFormed(token string) bool {
	switch len(token) - len(f.prefix) {
	case randomLen + tagLen + checksumLen:
	case randomLen + checksumLen:
		if len(f.tags) > 0 {
			return false
		}
	default:
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

// genuine looks at the checksum and the tag of a well-formed token. A good tag
// admits nobody; a bad one spares the store a look-up.
func (f *tokenFormat) genuine(token string) bool {
	body, sum := token[:len(token)-checksumLen], token[len(token)-checksumLen:]
	if want := checksum(body); sum != string(want[:]) {
		return false
	}
	if len(f.tags) == 0 {
		return true
	}
	signed, tag := body[:len(body)-tagLen], body[len(body)-tagLen:]
	for _, t := range f.tags {
		if t.verify(signed, tag) {
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

// legacy reports whether token is one of an earlier system's.
func (f *tokenFormat) legacy(token string) bool {
	if len(f.old) == 0 || len(token) > maxLegacy || !visible(token) {
		return false
	}
	for _, re := range f.old {
		if re.MatchString(token) {
			return true
		}
	}
	return false
}

// visible reports whether s is all visible ASCII characters, as a credential
// is (RFC 6750, section 2.1). Go's server lets folded lines, control characters
// and arbitrary bytes through.
func visible(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return false
		}
	}
	return true
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
	var b [64]byte
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
