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

// maxAnswer is in bytes.
const maxAnswer = 64 << 10

// get returns the body of an answer. The context ends the reading too.
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

// drain reads what is not believed: a connection is used again only after that.
// What follows a 101 is no answer, and has no end, not even that of the context.
func drain(resp *http.Response) {
	if resp.StatusCode >= http.StatusOK {
		io.CopyN(io.Discard, resp.Body, maxAnswer)
	}
}

// maxError bounds the text of an error of net/http, in bytes.
const maxError = 1000

// bare is the error without the URL around it, which names the owner. What of it
// quotes an answer that is not HTTP goes too.
func bare(err error) error {
	if outer := (*url.Error)(nil); errors.As(err, &outer) {
		err = outer.Err
	}
	text, _, found := strings.Cut(err.Error(), "malformed")
	switch {
	case len(text) > maxError:
		return errors.New("the answer is not HTTP")
	case found:
		return errors.New(text + "malformed")
	}
	return err
}

// genuine is an error unless the response can be an answer.
func genuine(resp *http.Response) error {
	switch {
	case resp.StatusCode != http.StatusOK:
		return fmt.Errorf("status %d", resp.StatusCode)
	case len(resp.Header["Content-Encoding"]) > 0 || resp.Uncompressed:
		return errors.New("the answer is compressed, which was not asked for")
	case len(resp.Header["Content-Type"]) != 1 || !isJSON(resp.Header.Get("Content-Type")):
		return errors.New("the answer is not of the type " + contentType)
	}
	return nil
}

// isJSON lets a charset of UTF-8 stand beside the type, as many frameworks do.
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
	tooLong := fmt.Errorf("the answer is longer than %d bytes", maxAnswer)
	if resp.ContentLength > maxAnswer {
		return nil, tooLong
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err == nil && len(body) > maxAnswer {
		err = tooLong
	}
	return body, err
}
