package sqlprovider

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxText is the maximum length of owners, IDs and plans in bytes, as in the
// schema.
const maxText = 255

// checkOwner returns an error for owners that package apikey refuses.
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

// checkText returns an error if s cannot be stored unchanged.
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

// misleading reports whether r could break a line, or reorder the text around
// it, where a name is shown.
func misleading(r rune) bool {
	return unicode.IsControl(r) || unicode.In(r, unicode.Zl, unicode.Zp, unicode.Bidi_Control)
}
