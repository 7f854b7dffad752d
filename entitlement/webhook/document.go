package webhook

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"
)

// maxDepth bounds the nesting of objects and arrays. No sender needs more than
// ten levels.
const maxDepth = 64

// parse reads a JSON object. Unlike [json.Unmarshal], it refuses repeated
// names, of which another reader may have taken the first, and it distinguishes
// upper and lower case. Numbers stay text.
func parse(body []byte) (map[string]any, error) {
	if !utf8.Valid(body) {
		return nil, errors.New("the body is not UTF-8")
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	v, err := parseValue(d, maxDepth)
	if err != nil {
		return nil, err
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, errors.New("the body has data after the JSON object")
	}
	object, ok := v.(map[string]any)
	if !ok {
		return nil, errors.New("the body is not a JSON object")
	}
	return object, nil
}

func parseValue(d *json.Decoder, depth int) (any, error) {
	token, err := d.Token()
	if err != nil {
		return nil, errors.New("the body is not JSON") // the decoder's error would quote it
	}
	switch {
	case token == json.Delim('{') && depth > 0:
		return parseObject(d, depth-1)
	case token == json.Delim('[') && depth > 0:
		return parseArray(d, depth-1)
	}
	if _, ok := token.(json.Delim); ok {
		return nil, fmt.Errorf("the body is nested more than %d levels deep", maxDepth)
	}
	return token, nil
}

func parseObject(d *json.Decoder, depth int) (any, error) {
	object := map[string]any{}
	for d.More() {
		token, err := d.Token()
		name, ok := token.(string)
		if err != nil || !ok {
			return nil, errors.New("the body is not JSON")
		}
		if _, ok := object[name]; ok {
			return nil, errors.New("an object has a repeated name")
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
		return errors.New("the body is not JSON")
	}
	return nil
}
