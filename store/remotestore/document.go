package remotestore

import (
	"bytes"
	"encoding/json"
	"errors"
)

// contentType is the media type of requests and responses. No proxy's error page
// has it.
const contentType = "application/vnd.keyhatch.store+json"

// decode decodes a document, which must be byte for byte what [json.Marshal]
// returns for v. Both sides are this package. The decoder alone is too lenient: it
// accepts unknown names, names in any case, duplicate names, null for any value,
// and half a surrogate pair.
func decode(document []byte, v any) error {
	err := json.Unmarshal(document, v)
	if err == nil {
		var again []byte
		if again, err = json.Marshal(v); err == nil && bytes.Equal(again, document) {
			return nil
		}
	}
	return errors.New("the JSON document does not have the expected form") // the decoder's error would quote it
}
