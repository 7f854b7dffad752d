package text

import (
	"errors"
	"regexp"
	"strings"
	"unicode"
)

// CheckVisible returns an error if s shows nothing, or contains invisible characters:
// two strings that look the same could then differ.
func CheckVisible(s string) error {
	switch {
	case hasHidden(s):
		return errors.New("must not contain invisible characters: type it instead of pasting it")
	case !strings.ContainsFunc(s, isVisible):
		return errors.New("must have at least one visible character: use a letter, digit, symbol or punctuation mark")
	}
	return nil
}

// isVisible reports whether r shows something by itself. A mark does not.
func isVisible(r rune) bool { return unicode.In(r, unicode.L, unicode.N, unicode.P, unicode.S) }

// isBlank reports whether r shows nothing although it is a letter, symbol or mark and
// Unicode does not list it as ignorable. Most are named blank, filler or null.
func isBlank(r rune) bool {
	const (
		blanks    = "\u2800\ufffc\U00013441\U00013442\U0001d159"
		zeroWidth = "\u2d7f\U00016fe4\U0001107f\U0001bc9d"
		noChar    = 0xfffe // the last two code points of each plane are not characters
	)
	return strings.ContainsRune(blanks+zeroWidth, r) || r&noChar == noChar || r >= 0xfdd0 && r <= 0xfdef
}

// Tag letters spell the region after a black flag, for example in the flag of Scotland.
var regionFlag = regexp.MustCompile(`\x{1F3F4}[\x{E0030}-\x{E0039}\x{E0061}-\x{E007A}]{3,6}\x{E007F}`)

const (
	nonJoiner     = '\u200c'
	joiner        = '\u200d'
	textSelector  = '\ufe0e'
	emojiSelector = '\ufe0f'
	keycap        = '\u20e3'
)

// hasHidden reports whether s contains an invisible character that does not change
// how its neighbours are shown.
func hasHidden(s string) bool {
	if IsPrintableASCII(s) {
		return false
	}
	runes := []rune("\x00" + regionFlag.ReplaceAllString(s, "\U0001F3F4") + "\x00")
	for i, r := range runes {
		switch {
		case r == joiner || r == nonJoiner:
			if !joins(runes[:i], r, runes[i+1]) {
				return true
			}
		case unicode.Is(unicode.Variation_Selector, r):
			if !varies(runes[i-1], r, runes[i+1]) {
				return true
			}
		case isBlank(r) || unicode.In(r, unicode.Cf, unicode.Other_Default_Ignorable_Code_Point):
			return true
		}
	}
	return false
}

// joins reports whether the joiner r changes the displayed text: between two parts of
// an emoji, inside a word, or after the mark that ends a word.
func joins(text []rune, r, after rune) bool {
	before := text[len(text)-1]
	if r == joiner && isPictograph(after) {
		if before == emojiSelector {
			before = text[len(text)-2]
		}
		return isPictograph(before)
	}
	mark := unicode.Is(unicode.M, before)
	return needsJoiners(before) && (mark || needsJoiners(after)) ||
		mark && unicode.Is(unicode.Inherited, before) && needsJoiners(after)
}

// isPictograph reports whether r can be next to a joiner in an emoji. The standard
// library does not have Unicode's table of emoji. Most emoji have blocks of their own. The string
// holds all other characters that Unicode 17 joins.
func isPictograph(r rune) bool {
	return r >= 0x1f000 && unicode.Is(unicode.S, r) || strings.ContainsRune("↔↕☠♀♂⚕⚖⚧⛓⛹✈❄❤➡⬛", r)
}

// needsJoiners reports whether r belongs to a script in which joiners shape letters.
func needsJoiners(r rune) bool {
	return unicode.In(r, unicode.L, unicode.M) && !unicode.Is(unicode.Variation_Selector, r) && unicode.In(r,
		unicode.Arabic, unicode.Syriac, unicode.Mongolian, unicode.Nko,
		unicode.Devanagari, unicode.Bengali, unicode.Gurmukhi, unicode.Gujarati, unicode.Oriya, unicode.Tamil,
		unicode.Telugu, unicode.Kannada, unicode.Malayalam, unicode.Sinhala,
		unicode.Khmer, unicode.Myanmar, unicode.Tibetan)
}

// varies reports whether the variation selector r changes the displayed text. Symbols
// have a text form and an emoji form; letters of some scripts have other forms.
func varies(before, r, after rune) bool {
	if r == textSelector || r == emojiSelector {
		return before > unicode.MaxASCII && unicode.In(before, unicode.So, unicode.Sm) || strings.ContainsRune("‼⁉ℹ〰〽", before) ||
			after == keycap && strings.ContainsRune("0123456789#*", before)
	}
	switch {
	case unicode.Is(unicode.Mongolian, r):
		return unicode.Is(unicode.Mongolian, before)
	case unicode.Is(unicode.Han, before):
		return r <= '\ufe02' || r >= '\U000e0100'
	}
	return r == '\ufe00' && (unicode.In(before, unicode.Myanmar, unicode.Phags_Pa) || before > unicode.MaxASCII && unicode.Is(unicode.Sm, before))
}
