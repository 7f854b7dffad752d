package sqlprovider

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxText is in bytes, of owners, of ids and of plans, as the columns have it.
const maxText = 255

// checkOwner refuses what package apikey refuses for the owner of a key.
func checkOwner(owner string) error {
	if owner == "" {
		return errors.New("owner: must not be empty")
	}
	return checkText("owner", owner)
}

func checkEvent(event string) error {
	if event == "" {
		return errors.New("event: must not be empty")
	}
	return checkText("event", event)
}

// checkText bounds text that is kept as it is.
func checkText(field, s string) error {
	switch {
	case len(s) > maxText:
		return fmt.Errorf("%s: must have at most %d bytes", field, maxText)
	case !utf8.ValidString(s):
		return fmt.Errorf("%s: must be valid UTF-8", field)
	case strings.ContainsFunc(s, misleading):
		return fmt.Errorf("%s: must not contain control characters", field)
	}
	return nil
}

// misleading reports whether r could break a line or reorder the text around
// it where a name is shown.
func misleading(r rune) bool {
	return unicode.IsControl(r) || unicode.In(r, unicode.Zl, unicode.Zp, unicode.Bidi_Control)
}
