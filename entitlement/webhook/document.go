package webhook

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"
)

// maxDepth bounds what objects and arrays are nested in each other; no sender's
// go beyond ten.
const maxDepth = 64

// parse reads a JSON object. Unlike [json.Unmarshal] it refuses names that come
// twice, of which another reader may have believed the first one, and leaves the
// case of names alone. Numbers stay text.
func parse(body []byte) (map[string]any, error) {
	if !utf8.Valid(body) {
		return nil, errors.New("it is not UTF-8")
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	v, err := parseValue(d, maxDepth)
	if err != nil {
		return nil, err
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, errors.New("something follows the JSON")
	}
	object, ok := v.(map[string]any)
	if !ok {
		return nil, errors.New("it is not an object")
	}
	return object, nil
}

func parseValue(d *json.Decoder, depth int) (any, error) {
	token, err := d.Token()
	if err != nil {
		return nil, errors.New("it is not JSON") // the decoder's error quotes it
	}
	switch {
	case token == json.Delim('{') && depth > 0:
		return parseObject(d, depth-1)
	case token == json.Delim('[') && depth > 0:
		return parseArray(d, depth-1)
	}
	if _, ok := token.(json.Delim); ok {
		return nil, fmt.Errorf("it is nested more than %d deep", maxDepth)
	}
	return token, nil
}

func parseObject(d *json.Decoder, depth int) (any, error) {
	object := map[string]any{}
	for d.More() {
		token, err := d.Token()
		name, ok := token.(string)
		if err != nil || !ok {
			return nil, errors.New("it is not JSON")
		}
		if _, ok := object[name]; ok {
			return nil, errors.New("a name comes twice in an object")
		}
		if object[name], err = parseValue(d, depth); err != nil {
			return nil, err
		}
	}
	return object, parseEnd(d)
}

func parseArray(d *json.Decoder, depth int) (any, error) {
	array := []any{}
	for d.More() {
		v, err := parseValue(d, depth)
		if err != nil {
			return nil, err
		}
		array = append(array, v)
	}
	return array, parseEnd(d)
}

func parseEnd(d *json.Decoder) error {
	if _, err := d.Token(); err != nil {
		return errors.New("it is not JSON")
	}
	return nil
}
