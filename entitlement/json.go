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
	maxJSON  = 1 << 20 // bytes of a catalog file
	maxDepth = 8       // objects and lists within one another; a catalog has 3
)

// decodeStrictly reads one JSON value. encoding/json alone takes the last of two
// fields that have the same name, without a word.
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
		return errors.New("something follows the JSON")
	}
	return nil
}

// checkValue fails where an object has a name twice, for null, and for what is
// nested more than depth times. Null is what a file has in the place of a list
// that somebody forgot to write, and no scopes must not become all of them.
func checkValue(d *json.Decoder, depth int) error {
	token, err := d.Token()
	if err != nil {
		return cut(err)
	}
	if token == nil {
		return errors.New("null says nothing: leave it out")
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
			return fmt.Errorf("%.64q comes twice", name)
		}
		seen[fold(name)] = true
		if err := checkValue(d, depth); err != nil {
			return fmt.Errorf("%.64q: %w", name, err)
		}
	}
	return nil
}

// fold maps names to the same that are one for encoding/json, which tells apart
// neither case nor the long s.
func fold(name string) string {
	return strings.Map(func(r rune) rune {
		least := r
		for f := unicode.SimpleFold(r); f != r; f = unicode.SimpleFold(f) {
			least = min(least, f)
		}
		return least
	}, name)
}

// cut says of an end that it came too early.
func cut(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
