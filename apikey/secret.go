package apikey

import (
	"fmt"
	"io"
	"log/slog"
)

const redacted = "[redacted]"

// A Secret holds a token. It prints and encodes as "[redacted]": with every verb of
// fmt, and with log/slog, encoding/json, encoding/xml, encoding/gob, text/template and
// html/template, even in an unexported field of another value. Nothing can be decoded
// into a Secret, and database/sql refuses it.
//
// Debuggers, and packages that follow unexported pointers by reflection, still show
// the token.
type Secret struct {
	// A pointer, since fmt does not call the methods of unexported fields and
	// would print a string.
	text *string
}

func newSecret(text string) Secret { return Secret{text: &text} }

// Reveal returns the token. No other method does. For the zero Secret it returns "".
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
