package httpprovider

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"unicode/utf8"
)

// parse reads an answer and checks that it is about the owner. Its errors do
// not quote the body, which may contain anything.
func parse(body []byte, owner string) (answer, error) {
	has, err := names(body)
	if err != nil {
		return answer{}, err
	}
	var a answer
	if json.Unmarshal(body, &a) != nil {
		return answer{}, errors.New("a field of the response has the wrong type, or the override is invalid")
	}
	if flaw := a.flaw(has, owner); flaw != "" {
		return answer{}, errors.New("the response is invalid: " + flaw)
	}
	return a, nil
}

var errNoObject = errors.New("the response is not a complete JSON object")

// names returns the names of the object's fields. Each must be known, spelled
// exactly, and occur once. encoding/json alone ignores case and takes the last
// of two fields.
func names(body []byte) (map[string]bool, error) {
	d := json.NewDecoder(bytes.NewReader(body))
	if open, err := d.Token(); err != nil || open != json.Delim('{') || !utf8.Valid(body) {
		return nil, errNoObject
	}
	has := map[string]bool{}
	for d.More() {
		token, err := d.Token()
		if err != nil {
			return nil, errNoObject
		}
		name := token.(string)
		if has[name] || !known(name) {
			return nil, errors.New("the response has an unknown or repeated field")
		}
		has[name] = true
		var value json.RawMessage
		if d.Decode(&value) != nil {
			return nil, errNoObject
		}
	}
	if _, err := d.Token(); err != nil {
		return nil, errNoObject
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, errors.New("the response has data after the JSON object")
	}
	return has, nil
}

func known(name string) bool {
	switch name {
	case "owner", "plan", "valid_until", "status", "override":
		return true
	}
	return false
}
