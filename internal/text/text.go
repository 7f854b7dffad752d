// Package text holds the rules for owners, IDs, names and other short strings, so that
// every package accepts the same ones. Error messages begin with "must", to follow the name of a field, and do
// not contain the string.
package text

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// MaxID is the maximum length of an owner or an ID in bytes. Database schemas have
// the same limit.
const MaxID = 255

// CheckID returns an error unless s can be an owner or an ID: it must have 1 to
// [MaxID] bytes and pass [Check].
func CheckID(s string) error {
	if s == "" {
		return errors.New("must not be empty")
	}
	return Check(s, MaxID)
}

// Check returns an error if s has more than limit bytes, is not valid UTF-8, or
// contains a character for which [IsMisleading] returns true. Every database stores
// other strings unchanged.
func Check(s string, limit int) error {
	switch {
	case len(s) > limit:
		return fmt.Errorf("must have at most %d bytes", limit)
	case !utf8.ValidString(s):
		return errors.New("must be valid UTF-8")
	case strings.ContainsFunc(s, IsMisleading):
		return errors.New("must not contain control characters")
	}
	return nil
}

// IsMisleading reports whether r could break a line, or reorder the text around it,
// when it is displayed.
func IsMisleading(r rune) bool {
	return unicode.IsControl(r) || unicode.In(r, unicode.Zl, unicode.Zp, unicode.Bidi_Control)
}

// AreUTF8 reports whether all strings are valid UTF-8. encoding/json silently replaces
// invalid bytes.
func AreUTF8(texts ...string) bool {
	return !slices.ContainsFunc(texts, func(s string) bool { return !utf8.ValidString(s) })
}

// IsMapUTF8 reports whether all keys and values are valid UTF-8.
func IsMapUTF8(m map[string]string) bool {
	for k, v := range m {
		if !AreUTF8(k, v) {
			return false
		}
	}
	return true
}

// IsPrintableASCII reports whether all characters of s are printable ASCII. The space
// is printable.
func IsPrintableASCII(s string) bool { return isWithin(s, ' ') }

// IsVisibleASCII reports whether all characters of s are printable ASCII other than
// the space.
func IsVisibleASCII(s string) bool { return isWithin(s, '!') }

func isWithin(s string, first byte) bool {
	for i := range len(s) {
		if s[i] < first || s[i] > '~' {
			return false
		}
	}
	return true
}

// SourceRule says what [IsSource] accepts.
const SourceRule = "must be 1 to 32 lower-case letters, digits, dashes and underscores"

// IsSource reports whether s can be the name of a billing system.
func IsSource(s string) bool {
	return s != "" && len(s) <= 32 && !strings.ContainsFunc(s, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' && r != '_'
	})
}
