package apikey

import (
	"fmt"
	"io"
	"log/slog"
)

const redacted = "[redacted]"

// A Secret holds a token. Whatever prints or encodes it writes "[redacted]":
// every verb of fmt, log/slog, encoding/json, encoding/xml, encoding/gob,
// text/template and html/template, also where it is in an unexported field of
// something else. Nothing can be decoded into it, and database/sql refuses it.
//
// Debuggers, and dumpers that follow unexported pointers by reflection, still
// show the text.
type Secret struct {
	// A pointer, since fmt prints what is in an unexported field without
	// asking its methods, and would print a string.
	text *string
}

func newSecret(text string) Secret { return Secret{text: &text} }

// Reveal returns the token. It is the only way to it; the zero Secret has "".
func (s Secret) Reveal() string {
	if s.text == nil {
		return ""
	}
	return *s.text
}

// String returns "[redacted]".
func (Secret) String() string { return redacted }

// GoString returns "[redacted]".
func (Secret) GoString() string { return redacted }

// Format writes "[redacted]" for every verb.
func (Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// LogValue returns "[redacted]".
func (Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText returns "[redacted]".
func (Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// MarshalJSON returns "[redacted]", quoted.
func (Secret) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }

// GobEncode returns "[redacted]".
func (Secret) GobEncode() ([]byte, error) { return []byte(redacted), nil }
