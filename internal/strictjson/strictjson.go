// Package strictjson reads JSON more strictly than encoding/json. It refuses repeated fields,
// unknown fields, data after the value, invalid UTF-8, and surrogates without a pair.
//
// Errors are for the author of the document. They name fields, and never contain
// values.
package strictjson

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Rules holds the bounds of a document, and the rules that differ between documents.
type Rules struct {
	MaxBytes int // size of the document; 0 if the caller has bounded it
	MaxDepth int // levels of nested objects and lists

	// NoNull refuses null. A null in place of a list is usually a list that the
	// author forgot to write.
	NoNull bool

	// AnyCase compares names as encoding/json does, without regard to case. Without
	// it, names must be spelled exactly.
	AnyCase bool
}

// Parse reads a document that must be one object. The object holds strings, bools,
// [json.Number], nil, []any and map[string]any.
func Parse(document []byte, r Rules) (map[string]any, error) {
	switch {
	case r.MaxBytes > 0 && len(document) > r.MaxBytes:
		return nil, fmt.Errorf("the JSON has %d bytes, want at most %d", len(document), r.MaxBytes)
	case !utf8.Valid(document):
		return nil, errors.New("the JSON is not valid UTF-8")
	}
	p := parser{json.NewDecoder(bytes.NewReader(document)), r}
	p.d.UseNumber()
	v, err := p.value("", 0)
	if err != nil {
		return nil, err
	}
	if _, err := p.d.Token(); err != io.EOF {
		return nil, errors.New("there is data after the JSON value")
	}
	if !paired.Match(document) {
		return nil, errors.New(`the JSON has a surrogate, such as \ud800, without its pair`)
	}
	object, ok := v.(map[string]any)
	if !ok {
		return nil, errors.New("the JSON must be an object")
	}
	return object, nil
}

// paired matches a JSON document in which each surrogate is half of a pair.
var paired = regexp.MustCompile(`\A(?:[^\\]|\\[^u]|\\u[^dD]|\\u[dD][0-7]|\\u[dD][89abAB]..\\u[dD][c-fC-F])*\z`)

type parser struct {
	d *json.Decoder
	Rules
}

func (p *parser) value(path string, depth int) (any, error) {
	token, err := p.token()
	if err != nil {
		return nil, err
	}
	delim, ok := token.(json.Delim)
	switch {
	case token == nil && p.NoNull:
		return nil, fmt.Errorf("%s must not be null: omit the field", subject(path))
	case !ok:
		return token, nil
	case depth == p.MaxDepth:
		return nil, fmt.Errorf("%s is nested too deeply: more than %d levels", subject(path), depth)
	case delim == '{':
		return p.object(path, depth+1)
	}
	return p.list(path, depth+1)
}

func (p *parser) object(path string, depth int) (any, error) {
	object, seen := map[string]any{}, map[string]bool{}
	for p.d.More() {
		token, err := p.token()
		if err != nil {
			return nil, err
		}
		name := token.(string)
		at := field(path, name)
		if seen[p.folded(name)] {
			return nil, fmt.Errorf("%s appears twice", at)
		}
		seen[p.folded(name)] = true
		if object[name], err = p.value(at, depth); err != nil {
			return nil, err
		}
	}
	_, err := p.token()
	return object, err
}

func (p *parser) list(path string, depth int) (any, error) {
	list := []any{}
	for p.d.More() {
		v, err := p.value(path, depth)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	_, err := p.token()
	return list, err
}

func (p *parser) token() (json.Token, error) {
	token, err := p.d.Token()
	switch {
	case err == io.EOF || err == io.ErrUnexpectedEOF:
		return nil, errors.New("the JSON is incomplete")
	case err != nil: // it would quote the document
		return nil, fmt.Errorf("the JSON is invalid at byte %d", p.d.InputOffset())
	}
	return token, nil
}

// folded returns the same string for all names that the rules do not distinguish.
// encoding/json ignores case and does not distinguish s from the long s (ſ).
func (r Rules) folded(name string) string {
	if !r.AnyCase {
		return name
	}
	return strings.Map(func(r rune) rune {
		least := r
		for f := unicode.SimpleFold(r); f != r; f = unicode.SimpleFold(f) {
			least = min(least, f)
		}
		return least
	}, name)
}

// maxPath bounds the path of a field in an error, in bytes.
const maxPath = 200

// field returns the path of a field of the object at the path.
func field(path, name string) string {
	if name == "" || len(name) > 64 || strings.ContainsFunc(name, needsQuotes) {
		name = fmt.Sprintf("%.64q", name)
	}
	switch {
	case path == "":
		return name
	case len(path) > maxPath:
		return path
	}
	return path + "." + name
}

func needsQuotes(r rune) bool {
	return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '_' && r != '-'
}

func subject(path string) string {
	if path == "" {
		return "the JSON"
	}
	return path
}

// DecodeCanonical decodes a document that must be byte for byte what [json.Marshal]
// returns for v. It is for documents that the same code has written and whose size
// the caller bounds. The error contains nothing of the document.
func DecodeCanonical(document []byte, v any) error {
	err := json.Unmarshal(document, v)
	if err == nil {
		var again []byte
		if again, err = json.Marshal(v); err == nil && bytes.Equal(again, document) {
			return nil
		}
	}
	return errors.New("the JSON does not have the expected form")
}
