package httpprovider

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"unicode/utf8"
)

// parse reads an answer, which must be the owner's. Its errors do not quote the
// answer, which may be anything.
func parse(body []byte, owner string) (answer, error) {
	has, err := names(body)
	if err != nil {
		return answer{}, err
	}
	var a answer
	if json.Unmarshal(body, &a) != nil {
		return answer{}, errors.New("a field of the answer is not of its type, or the override is none")
	}
	if flaw := a.flaw(has, owner); flaw != "" {
		return answer{}, errors.New("the answer is not of its shape: " + flaw)
	}
	return a, nil
}

var errNoObject = errors.New("the answer is not a JSON object, or not whole")

// names returns the names of an object's fields, which must be spelled as they
// should be, each at most once. The decoder alone takes names in any case, and the
// last of two.
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
			return nil, errors.New("the answer has a field that is not known or comes twice")
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
		return nil, errors.New("something follows the answer")
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
