package httpprovider

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const contentType = "application/json"

// maxAnswer is the maximum length of a body in bytes.
const maxAnswer = 64 << 10

// get returns the body of the response. The context also bounds reading it.
func (p *Provider) get(ctx context.Context, question string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, p.timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, question, nil)
	if err != nil {
		return nil, bare(err)
	}
	req.Header = p.header().fields.Clone()
	resp, err := p.client.Do(req)
	if err != nil {
		return nil, bare(err)
	}
	defer resp.Body.Close()
	p.pause.after(resp, time.Now())
	if err := genuine(resp); err != nil {
		drain(resp)
		return nil, err
	}
	return read(resp)
}

// drain reads the body of a response that is not used, since otherwise its
// connection cannot be reused. After a 101 there is no response to read, and
// what follows may never end, not even with the context.
func drain(resp *http.Response) {
	if resp.StatusCode >= http.StatusOK {
		io.CopyN(io.Discard, resp.Body, maxAnswer)
	}
}

// maxError bounds the text of an error of net/http, in bytes.
const maxError = 1000

// bare returns the error without its URL, which contains the owner, and without
// what it quotes from a response that is not HTTP.
func bare(err error) error {
	if outer := (*url.Error)(nil); errors.As(err, &outer) {
		err = outer.Err
	}
	text, _, found := strings.Cut(err.Error(), "malformed")
	switch {
	case len(text) > maxError:
		return errors.New("the response is not HTTP")
	case found:
		return errors.New(text + "malformed")
	}
	return err
}

// genuine returns an error if the status or the header is not that of an
// answer.
func genuine(resp *http.Response) error {
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

// isJSON also accepts the parameter charset=utf-8, which many frameworks send.
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

func read(resp *http.Response) ([]byte, error) {
	tooLong := fmt.Errorf("the response is longer than %d bytes", maxAnswer)
	if resp.ContentLength > maxAnswer {
		return nil, tooLong
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err == nil && len(body) > maxAnswer {
		err = tooLong
	}
	return body, err
}
