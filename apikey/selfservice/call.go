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
	"unicode/utf8"

	"github.com/keyhatch/keyhatch/apikey"
)

// maxBody is in bytes.
const maxBody = 16 << 10

// A call is a request to the API, and who makes it.
type call struct {
	*handler
	who caller
	w   http.ResponseWriter
	r   *http.Request
	id  string // of the key in the path
}

// An action answers with a status and what to send, which is nothing for 204.
type action func(c *call) (status int, v any, err error)

// api makes a method of an action.
func api(do action) method {
	return func(h *handler, w http.ResponseWriter, r *http.Request, id string) {
		who, err := h.caller(r)
		if errors.Is(err, apikey.ErrUnauthenticated) || errors.Is(err, apikey.ErrForbidden) || errors.Is(err, apikey.ErrAmbiguous) {
			h.keys.WriteError(w, r, err) // of the key that came with it
			return
		}
		c := &call{h, who, w, r, id}
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
	body, err := io.ReadAll(http.MaxBytesReader(c.w, c.r.Body, maxBody))
	if tooLong := (*http.MaxBytesError)(nil); errors.As(err, &tooLong) {
		return tooLarge
	}
	if err != nil || !utf8.Valid(body) {
		return malformed("The body cannot be read, or is not UTF-8.")
	}
	if !isObject(body) {
		return malformed("The body must be a JSON object.")
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return malformed("The body is no JSON object of the fields that are known: " + reason(err))
	}
	if _, err := d.Token(); err != io.EOF {
		return malformed("There is something behind the JSON object.")
	}
	return nil
}

// isObject keeps null out, which decodes into anything.
func isObject(body []byte) bool { return bytes.HasPrefix(bytes.TrimLeft(body, " \t\r\n"), []byte("{")) }

// reason is what encoding/json says, as far as it is about the JSON.
func reason(err error) string {
	if kind := (*json.UnmarshalTypeError)(nil); errors.As(err, &kind) {
		return kind.Field + " is a " + kind.Value + "."
	}
	return strings.TrimPrefix(err.Error(), "json: ") + "."
}
