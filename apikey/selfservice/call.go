package selfservice

import (
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"time"

	"github.com/keyhatch/keyhatch/apikey"
	"github.com/keyhatch/keyhatch/internal/strictjson"
)

// Bounds of a request body: bytes, and levels of nested objects and lists.
const (
	maxBody  = 16 << 10
	maxDepth = 8
)

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
// and query parameters in addition to a body.
func (c *call) decode(v any) error {
	if _, err := c.query(); err != nil {
		return err
	}
	if kind, _, err := mime.ParseMediaType(c.r.Header.Get("Content-Type")); err != nil || kind != "application/json" || len(c.r.Header["Content-Type"]) > 1 {
		return notJSON
	}
	if err := strictjson.Decode(c.body, v, strictjson.Rules{MaxDepth: maxDepth}); err != nil {
		return badRequest(err.Error())
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
