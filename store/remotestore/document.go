package remotestore

import (
	"bytes"
	"encoding/json"
	"errors"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// contentType is that of questions and answers. No proxy's error page has it.
const contentType = "application/vnd.keyhatch.store+json"

// decode reads a document of exactly v's shape. The decoder of encoding/json
// alone is too kind: it takes names in any case, twice the same, null for
// anything, and half a character.
func decode(document []byte, v any) error {
	if !utf8.Valid(document) {
		return errors.New("the document is not UTF-8")
	}
	d := json.NewDecoder(bytes.NewReader(document))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return errors.New("the document is not of its shape") // the decoder's error quotes it
	}
	read := d.InputOffset()
	if len(bytes.Trim(document[read:], spaces)) > 0 {
		return errors.New("something stands behind the document")
	}
	if halved(document) {
		return errors.New("a text has half a surrogate pair")
	}
	return exact(document[:read])
}

// spaces are those of JSON.
const spaces = " \t\r\n"

// halved reports whether a text of the document, which is known to be JSON,
// has an escape for one half of a surrogate pair without the other.
func halved(document []byte) bool {
	for {
		i := bytes.IndexByte(document, '\\')
		if i < 0 {
			return false
		}
		document = document[i:]
		r := escaped(document)
		switch {
		case r < 0:
			document = document[2:]
		case !utf16.IsSurrogate(r):
			document = document[6:]
		case utf16.DecodeRune(r, escaped(document[6:])) == utf8.RuneError:
			return true
		default:
			document = document[12:]
		}
	}
}

// escaped is the number in an escape such as \u00e9 at the beginning of b, or
// -1 when there is none.
func escaped(b []byte) rune {
	if len(b) < 6 || b[0] != '\\' || b[1] != 'u' {
		return -1
	}
	n, err := strconv.ParseUint(string(b[2:6]), 16, 16)
	if err != nil {
		return -1
	}
	return rune(n)
}
