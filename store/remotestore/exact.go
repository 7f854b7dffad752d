package remotestore

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
)

// exact is an error when the document, which is known to be JSON of a shape of
// ours, has a name that is not spelt as ours are, a name twice in one object,
// or a null that is no time.
func exact(document []byte) error {
	var open []scope // the objects and lists around the place, outermost first
	name := ""       // of the value that comes
	for i := 0; i < len(document); i++ {
		switch document[i] {
		case '{', '[':
			open = append(open, scope{free: name == "metadata"})
			name = ""
		case '}', ']':
			open = open[:len(open)-1]
		case ',':
			name = ""
		case 'n': // no other value begins so, or has an n in it
			if !strings.HasSuffix(name, "_at") {
				return errors.New("null stands where it means nothing")
			}
		case '"':
			text := quoted(document[i:])
			i += len(text) - 1
			if !bytes.HasPrefix(bytes.TrimLeft(document[i+1:], spaces), []byte(":")) {
				continue // a value
			}
			var ok bool
			if name, ok = open[len(open)-1].take(text); !ok {
				return errors.New("a name is there twice, or not in lower case")
			}
		}
	}
	return nil
}

// quoted is the text that b begins with, with its quotes.
func quoted(b []byte) []byte {
	for i := 1; ; i++ {
		switch b[i] {
		case '\\':
			i++
		case '"':
			return b[:i+1]
		}
	}
}

// A scope is an object or a list.
type scope struct {
	free  bool // the names are the caller's
	names map[string]bool
}

// take takes a name in, and reports whether it may be there.
func (s *scope) take(text []byte) (name string, ok bool) {
	name = string(text[1 : len(text)-1])
	if s.free {
		if err := json.Unmarshal(text, &name); err != nil {
			return "", false
		}
	} else if !ours(name) {
		return "", false
	}
	if s.names[name] {
		return "", false
	}
	if s.names == nil {
		s.names = map[string]bool{}
	}
	s.names[name] = true
	if s.free {
		name = "" // none of ours, whatever it reads
	}
	return name, true
}

func ours(name string) bool {
	return !strings.ContainsFunc(name, func(r rune) bool { return (r < 'a' || r > 'z') && r != '_' })
}
