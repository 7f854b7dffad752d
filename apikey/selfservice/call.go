package selfservice

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/keyhatch/keyhatch/apikey"
)

// maxBody is in bytes.
const maxBody = 16 << 10

// bodyTime is how long a body may take.
const bodyTime = 10 * time.Second

// A call is a request to the API, and who makes it.
type call struct {
	*handler
	who     caller
	w       http.ResponseWriter
	r       *http.Request
	id      string // of the key in the path
	content []byte
}

// An action answers with a status and what to send, which is nothing for 204.
type action func(c *call) (status int, v any, err error)

// api makes a method of an action.
func api(do action) method {
	return func(h *handler, w http.ResponseWriter, r *http.Request, id string) {
		content, unread := readBody(w, r)
		who, err := h.caller(r)
		if errors.Is(err, apikey.ErrUnauthenticated) || errors.Is(err, apikey.ErrForbidden) || errors.Is(err, apikey.ErrAmbiguous) {
			h.keys.WriteError(w, r, err) // of the key that came with it
			return
		}
		c := &call{h, who, w, r, id, content}
		if err == nil {
			err = unread
		}
		var status int
		var v any
		if err == nil {
			status, v, err = do(c)
		}
		switch {
		case err != nil:
			h.refuse(w, r, err)
		case v == nil:
			w.WriteHeader(status)
		default:
			answer(w, status, "application/json", v)
		}
	}
}

// query returns the parameters of the request, which may be those named and each
// once.
func (c *call) query(allowed ...string) (url.Values, error) {
	all, err := url.ParseQuery(c.r.URL.RawQuery)
	if err != nil {
		return nil, malformed("The query cannot be read.")
	}
	known := url.Values{}
	for _, name := range allowed {
		if len(all[name]) > 1 {
			return nil, malformed("A parameter is there twice.")
		}
		if values, ok := all[name]; ok {
			known[name] = values
			delete(all, name)
		}
	}
	if len(all) > 0 {
		return nil, malformed("There is a parameter that is not known.")
	}
	return known, nil
}

// body reads the request's JSON into v, which has a field for all that may be in
// it. A request with a body has no parameters.
func (c *call) body(v any) error {
	if _, err := c.query(); err != nil {
		return err
	}
	if kind, _, err := mime.ParseMediaType(c.r.Header.Get("Content-Type")); err != nil || kind != "application/json" || len(c.r.Header["Content-Type"]) > 1 {
		return notJSON
	}
	if !utf8.Valid(c.content) {
		return malformed("The body is not UTF-8.")
	}
	if !plain(c.content) {
		return malformed("The body must be a JSON object, with each field once.")
	}
	d := json.NewDecoder(bytes.NewReader(c.content))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return malformed("The body is no JSON object of the fields that are known: " + reason(err))
	}
	if _, err := d.Token(); err != io.EOF {
		return malformed("There is something behind the JSON object.")
	}
	return nil
}

// readBody comes before anybody is asked who makes the request: a body can take its
// time, and who was somebody at its beginning may be nobody at its end.
func readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	if r.Body == nil || r.Body == http.NoBody {
		return nil, nil
	}
	// Where the server cannot, the host's own time limits have to do.
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(bodyTime))
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	switch tooLong := (*http.MaxBytesError)(nil); {
	case errors.As(err, &tooLong):
		return nil, tooLarge
	case err != nil:
		return nil, malformed("The body cannot be read.")
	}
	_ = http.NewResponseController(w).SetReadDeadline(time.Time{})
	return body, nil
}

// plain reports whether the body is an object in which each field is once. The
// decoder would take the last of several, and a name in any case of its letters.
func plain(body []byte) bool {
	d := json.NewDecoder(bytes.NewReader(body))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return false
	}
	seen := map[string]bool{}
	for d.More() {
		t, err := d.Token()
		name, ok := t.(string)
		if err != nil || !ok || seen[name] || strings.Trim(name, "abcdefghijklmnopqrstuvwxyz_") != "" {
			return false
		}
		seen[name] = true
		if err := d.Decode(new(json.RawMessage)); err != nil {
			return false
		}
	}
	return true
}

// reason is what encoding/json says, as far as it is about the JSON.
func reason(err error) string {
	if kind := (*json.UnmarshalTypeError)(nil); errors.As(err, &kind) {
		return kind.Field + " is a " + kind.Value + "."
	}
	return strings.TrimPrefix(err.Error(), "json: ") + "."
}
