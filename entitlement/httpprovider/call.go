package httpprovider

import (
	"context"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"strings"
	"time"

	"github.com/keyhatch/keyhatch/internal/httpclient"
)

const contentType = "application/json"

// maxBody is the maximum length of a response in bytes.
const maxBody = 64 << 10

// get returns the body of the response.
func (p *Provider) get(ctx context.Context, url string) ([]byte, error) {
	_, body, err := p.client.Do(ctx, httpclient.Request{
		Method: http.MethodGet, URL: url, MaxBody: maxBody,
		Check: func(resp *http.Response) error {
			p.pause.update(resp, time.Now())
			return checkResponse(resp)
		},
	})
	return body, err
}

// checkResponse returns an error if the status or the header is not as documented.
func checkResponse(resp *http.Response) error {
	switch {
	case resp.StatusCode != http.StatusOK:
		return fmt.Errorf("status %d", resp.StatusCode)
	case len(resp.Header["Content-Encoding"]) > 0 || resp.Uncompressed:
		return errors.New("the response is compressed although the request does not accept that")
	case len(resp.Header["Content-Type"]) != 1 || !isJSON(resp.Header.Get("Content-Type")):
		return errors.New("the content type of the response is not " + contentType)
	}
	return nil
}

// isJSON reports whether the content type is JSON. It accepts the parameter
// charset=utf-8, which many frameworks send.
func isJSON(value string) bool {
	kind, params, err := mime.ParseMediaType(value)
	if err != nil || kind != contentType {
		return false
	}
	for name, v := range params {
		if name != "charset" || !strings.EqualFold(v, "utf-8") {
			return false
		}
	}
	return true
}
