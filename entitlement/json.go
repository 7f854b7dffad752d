package entitlement

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode"
)

const (
	maxJSON  = 1 << 20 // size of a catalog file, in bytes
	maxDepth = 8       // nesting of objects and lists; a catalog needs 3
)

// decodeStrictly reads one JSON value. encoding/json alone would silently take
// the last of two fields that have the same name.
func decodeStrictly(data []byte, v any) error {
	if len(data) > maxJSON {
		return fmt.Errorf("%d bytes of JSON, want at most %d", len(data), maxJSON)
	}
	if err := checkValue(json.NewDecoder(bytes.NewReader(data)), maxDepth); err != nil {
		return err
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return err
	}
	if _, err := d.Token(); err != io.EOF {
		return errors.New("there is data after the JSON value")
	}
	return nil
}

// checkValue returns an error if an object has a name twice, if a value is
// null, and if values are nested more than depth levels. A null in place of a
// list is usually a list that the author forgot to write. It must not be read
// as nil, which means all scopes.
func checkValue(d *json.Decoder, depth int) error {
	token, err := d.Token()
	if err != nil {
		return cut(err)
	}
	if token == nil {
		return errors.New("null is not allowed: omit the field")
	}
	open, ok := token.(json.Delim)
	switch {
	case !ok:
		return nil
	case depth == 0:
		return errors.New("nested too deeply")
	}
	if open == '{' {
		err = checkObject(d, depth-1)
	} else {
		err = checkList(d, depth-1)
	}
	if err != nil {
		return err
	}
	_, err = d.Token()
	return cut(err)
}

func checkList(d *json.Decoder, depth int) error {
	for d.More() {
		if err := checkValue(d, depth); err != nil {
			return err
		}
	}
	return nil
}

func checkObject(d *json.Decoder, depth int) error {
	seen := map[string]bool{}
	for d.More() {
		token, err := d.Token()
		if err != nil {
			return cut(err)
		}
		name := token.(string)
		if seen[fold(name)] {
			return fmt.Errorf("%.64q appears twice", name)
		}
		seen[fold(name)] = true
		if err := checkValue(d, depth); err != nil {
			return fmt.Errorf("%.64q: %w", name, err)
		}
	}
	return nil
}

// fold returns the same string for all names that encoding/json takes for one
// field. encoding/json ignores case and does not distinguish s from the long s
// (ſ).
func fold(name string) string {
	return strings.Map(func(r rune) rune {
		least := r
		for f := unicode.SimpleFold(r); f != r; f = unicode.SimpleFold(f) {
			least = min(least, f)
		}
		return least
	}, name)
}

// cut replaces io.EOF by io.ErrUnexpectedEOF, since the JSON ended too early.
func cut(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
