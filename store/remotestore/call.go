package remotestore

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/keyhatch/keyhatch/internal/strictjson"
)

// ask sends a request and decodes the response. The caller must check that the
// response belongs to the request.
func ask[A any](ctx context.Context, s *Store, v verb, question any) (A, error) {
	var answer, none A
	body, err := json.Marshal(question)
	switch {
	case err != nil:
		return none, v.unasked(err)
	case len(body) > maxQuestion:
		return none, v.unasked(fmt.Errorf("the request is too large: %d bytes", len(body)))
	}
	status, body, err := s.post(ctx, v, body)
	switch {
	case err != nil:
		return none, v.outage(err)
	case status != http.StatusOK:
		return none, v.sentinelOf(status, body)
	}
	if err := strictjson.DecodeCanonical(body, &answer); err != nil {
		return none, v.outage(err)
	}
	return answer, nil
}

// unasked returns the error of a call that sent nothing.
func (v verb) unasked(err error) error {
	return fmt.Errorf("remotestore: %s: nothing was sent: %w", v.name, err)
}

// post sends a request and reads the response body. It returns an error if the
// response cannot come from a Handler. The timeout covers reading too.
func (s *Store) post(ctx context.Context, v verb, question []byte) (status int, answer []byte, err error) {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.address+v.name, bytes.NewReader(question))
	if err != nil {
		return 0, nil, err
	}
	req.Header = http.Header{
		"Authorization":   {*s.bearer},
		"Content-Type":    {contentType},
		"Accept":          {contentType},
		"Accept-Encoding": {"identity"},
	}
	if !v.writes {
		// net/http does not send this header. It allows the transport to repeat the
		// request if the service has just closed an idle connection; see
		// http.Transport.
		req.Header["X-Idempotency-Key"] = nil
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	if err := genuine(resp); err != nil {
		return 0, nil, err
	}
	answer, err = read(resp, v.most)
	return resp.StatusCode, answer, err
}

// genuine returns an error if a Handler cannot have sent the response.
func genuine(resp *http.Response) error {
	switch resp.StatusCode {
	case http.StatusUnauthorized:
		return errors.New("the service rejected the secret (status 401)")
	case http.StatusOK, http.StatusNotFound, http.StatusConflict, http.StatusNotImplemented:
	default:
		return fmt.Errorf("status %d", resp.StatusCode)
	}
	if types := resp.Header["Content-Type"]; len(types) != 1 || types[0] != contentType || len(resp.Header["Content-Encoding"]) > 0 {
		return fmt.Errorf("status %d, but the response is not from a key service", resp.StatusCode)
	}
	return nil
}

func read(resp *http.Response, most int64) ([]byte, error) {
	tooLong := fmt.Errorf("the response is longer than %d bytes", most)
	if resp.ContentLength > most {
		return nil, tooLong
	}
	answer, err := io.ReadAll(io.LimitReader(resp.Body, most+1))
	if err == nil && int64(len(answer)) > most {
		err = tooLong
	}
	return answer, err
}
