package selfservice

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/keyhatch/keyhatch/apikey"
)

// maxBody is the maximum length of a body in bytes.
const maxBody = 16 << 10

// bodyTimeout bounds the time in which a body must arrive.
const bodyTimeout = 10 * time.Second

// A call is a request to the API and its caller.
type call struct {
	*handler
	who  caller
	w    http.ResponseWriter
	r    *http.Request
	id   string // the key's ID in the path
	body []byte
}

// An action performs a call. It returns the status and the value of the response.
// A nil value means no body.
type action func(c *call) (status int, v any, err error)

// api returns the endpoint of an action.
func (h *handler) api(do action) endpoint {
	return func(w http.ResponseWriter, r *http.Request, id string) {
		body, unread := readBody(w, r)
		who, err := h.caller(r)
		if errors.Is(err, apikey.ErrUnauthenticated) || errors.Is(err, apikey.ErrForbidden) || errors.Is(err, apikey.ErrAmbiguous) {
			h.keys.WriteError(w, r, err) // the request's API key was refused
			return
		}
		c := &call{h, who, w, r, id, body}
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
			h.writeError(w, r, err)
		case v == nil:
			w.WriteHeader(status)
		default:
			writeJSON(w, status, "application/json", v)
		}
	}
}

// query returns the request's parameters. It refuses unknown and repeated ones.
func (c *call) query(allowed ...string) (url.Values, error) {
	all, err := url.ParseQuery(c.r.URL.RawQuery)
	if err != nil {
		return nil, badRequest("the query is malformed")
	}
	known := url.Values{}
	for _, name := range allowed {
		if len(all[name]) > 1 {
			return nil, badRequest("the parameter " + name + " is repeated")
		}
		if values, ok := all[name]; ok {
			known[name] = values
			delete(all, name)
		}
	}
	if len(all) > 0 {
		return nil, badRequest("the query has an unknown parameter")
	}
	return known, nil
}

// decode reads the request's body into v. It refuses unknown and repeated fields,
// and parameters beside a body.
func (c *call) decode(v any) error {
	if _, err := c.query(); err != nil {
		return err
	}
	if kind, _, err := mime.ParseMediaType(c.r.Header.Get("Content-Type")); err != nil || kind != "application/json" || len(c.r.Header["Content-Type"]) > 1 {
		return notJSON
	}
	if !utf8.Valid(c.body) {
		return badRequest("the body must be UTF-8")
	}
	if !isPlainObject(c.body) {
		return badRequest("the body must be a JSON object whose fields have lower-case names and are not repeated")
	}
	d := json.NewDecoder(bytes.NewReader(c.body))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return badRequest(describe(err))
	}
	if _, err := d.Token(); err != io.EOF {
		return badRequest("the body has data after the JSON object")
	}
	return nil
}

// readBody must be called before the caller is authenticated. A body can take
// seconds to arrive, and a session or key may end in that time.
func readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	if r.Body == nil || r.Body == http.NoBody {
		return nil, nil
	}
	// If w does not support deadlines, the server's own apply.
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(bodyTimeout))
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	switch tooLong := (*http.MaxBytesError)(nil); {
	case errors.As(err, &tooLong):
		return nil, tooLarge
	case err != nil:
		return nil, badRequest("the body cannot be read")
	}
	_ = http.NewResponseController(w).SetReadDeadline(time.Time{})
	return body, nil
}

// isPlainObject reports whether the body is an object in which no name is repeated
// and all are in lower case. encoding/json alone would take the last of several
// fields, and would accept a name in any case.
func isPlainObject(body []byte) bool {
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

// describe returns the text of a decoding error without the names of Go types.
func describe(err error) string {
	var mismatch *json.UnmarshalTypeError
	name, unknown := strings.CutPrefix(err.Error(), "json: unknown field ")
	switch {
	case errors.As(err, &mismatch):
		return mismatch.Field + " must be " + describeKind(mismatch.Type.Kind())
	case unknown:
		return "unknown field " + strings.Trim(name, `"`)
	case errors.Is(err, io.ErrUnexpectedEOF):
		return "the JSON is incomplete"
	}
	return "expires_at must be a time in RFC 3339, such as 2027-01-31T00:00:00Z" // only times decode themselves
}

func describeKind(kind reflect.Kind) string {
	switch kind {
	case reflect.String:
		return "a string"
	case reflect.Bool:
		return "true or false"
	case reflect.Slice:
		return "a list"
	}
	return "a whole number"
}
