package remotestore

import (
	"bytes"
	"encoding/json"
	"errors"
)

// contentType is that of questions and answers. No proxy's error page has it.
const contentType = "application/vnd.keyhatch.store+json"

// decode reads a document, which must be byte for byte what [json.Marshal]
// makes of v. Both ends are this package, and the decoder alone is too kind: it
// takes unknown names, names in any case, the same name twice, null for
// anything, and half a character.
func decode(document []byte, v any) error {
	err := json.Unmarshal(document, v)
	if err == nil {
		var again []byte
		if again, err = json.Marshal(v); err == nil && bytes.Equal(again, document) {
			return nil
		}
	}
	return errors.New("the document is not of its shape") // the decoder's error quotes it
}
