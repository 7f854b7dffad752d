package apikey

import (
	"regexp"
	"strings"
	"unicode"
)

// checkShown refuses text for people that shows nothing, or that contains
// characters which nobody sees: two texts that look the same could then differ.
func checkShown(field, s string) error {
	switch {
	case hasHidden(s):
		return &InvalidError{Field: field, Reason: "must not contain invisible characters: type it instead of pasting it"}
	case !strings.ContainsFunc(s, isVisible):
		return &InvalidError{Field: field, Reason: "must have at least one visible character: use a letter, digit, symbol or punctuation mark"}
	}
	return nil
}

// isVisible reports whether r shows something by itself. A mark does not.
func isVisible(r rune) bool { return unicode.In(r, unicode.L, unicode.N, unicode.P, unicode.S) }

// Tag letters spell the region behind a black flag, as in that of Scotland.
var regionFlag = regexp.MustCompile(`\x{1F3F4}[\x{E0030}-\x{E0039}\x{E0061}-\x{E007A}]{3,6}\x{E007F}`)

const (
	nonJoiner     = '\u200c'
	joiner        = '\u200d'
	brailleBlank  = '\u2800'
	emojiSelector = '\ufe0f'
	keycap        = '\u20e3'
)

// hasHidden reports whether s has an invisible character where it does not shape
// what stands beside it.
func hasHidden(s string) bool {
	runes := []rune("\x00" + regionFlag.ReplaceAllString(s, "\U0001F3F4") + "\x00")
	for i, r := range runes {
		switch {
		case r == joiner || r == nonJoiner:
			if !joins(runes[i-1], r, runes[i+1]) {
				return true
			}
		case unicode.Is(unicode.Variation_Selector, r):
			if !varies(runes[i-1], runes[i+1]) {
				return true
			}
		case r == brailleBlank || unicode.In(r, unicode.Cf, unicode.Other_Default_Ignorable_Code_Point):
			return true
		}
	}
	return false
}

// joins reports whether a joiner between these makes a difference: between two parts
// of an emoji, inside a word, or behind the mark that ends one.
func joins(before, r, after rune) bool {
	if r == joiner && (isSymbol(before) || before == emojiSelector) && isSymbol(after) {
		return true
	}
	mark := unicode.Is(unicode.M, before)
	return needsJoiners(before) && (mark || needsJoiners(after)) ||
		mark && unicode.Is(unicode.Inherited, before) && needsJoiners(after)
}

// isSymbol reports whether r can be a part of an emoji. Unicode's table of these is
// not in the standard library.
func isSymbol(r rune) bool { return r > unicode.MaxASCII && unicode.Is(unicode.S, r) }

// needsJoiners reports whether r is of a script in which joiners shape letters.
func needsJoiners(r rune) bool {
	return unicode.In(r, unicode.L, unicode.M) && !unicode.Is(unicode.Variation_Selector, r) && unicode.In(r,
		unicode.Arabic, unicode.Syriac, unicode.Mongolian, unicode.Nko,
		unicode.Devanagari, unicode.Bengali, unicode.Gurmukhi, unicode.Gujarati, unicode.Oriya, unicode.Tamil,
		unicode.Telugu, unicode.Kannada, unicode.Malayalam, unicode.Sinhala,
		unicode.Khmer, unicode.Myanmar, unicode.Tibetan)
}

// varies reports whether a variation selector between these changes what is shown.
func varies(before, after rune) bool {
	return isSymbol(before) || strings.ContainsRune("\u203c\u2049\u3030", before) ||
		after == keycap && strings.ContainsRune("0123456789#*", before) ||
		unicode.Is(unicode.L, before) && unicode.In(before, unicode.Han, unicode.Mongolian, unicode.Myanmar, unicode.Phags_Pa)
}
