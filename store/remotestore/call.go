package remotestore

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
)

// ask sends a question and reads its answer, which the caller has yet to
// compare with the question.
func ask[A any](ctx context.Context, s *Store, v verb, question any) (A, error) {
	var answer, none A
	body, err := json.Marshal(question)
	switch {
	case err != nil:
		return none, v.unasked(err)
	case len(body) > maxQuestion:
		return none, v.unasked(fmt.Errorf("%d bytes are too many", len(body)))
	}
	status, body, err := s.post(ctx, v, body)
	switch {
	case err != nil:
		return none, v.outage(err)
	case status != http.StatusOK:
		return none, v.sentinelOf(status, body)
	}
	if err := decode(body, &answer); err != nil {
		return none, v.outage(err)
	}
	return answer, nil
}

// unasked is the error of a call that sent nothing.
func (v verb) unasked(err error) error {
	return fmt.Errorf("remotestore: %s: nothing was sent: %w", v.name, err)
}

// post sends a request and reads the body of a response that is of the
// handler's making. The context ends the reading too.
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
		// Not sent; it lets the transport ask again when the service closed an
		// idle connection just then. See http.Transport.
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

// genuine is an error unless the response can be a handler's answer.
func genuine(resp *http.Response) error {
	switch resp.StatusCode {
	case http.StatusUnauthorized:
		return errors.New("the service does not accept the secret (status 401)")
	case http.StatusOK, http.StatusNotFound, http.StatusConflict, http.StatusNotImplemented:
	default:
		return fmt.Errorf("status %d", resp.StatusCode)
	}
	if types := resp.Header["Content-Type"]; len(types) != 1 || types[0] != contentType || len(resp.Header["Content-Encoding"]) > 0 {
		return fmt.Errorf("status %d, and not from a key service", resp.StatusCode)
	}
	return nil
}

func read(resp *http.Response, most int64) ([]byte, error) {
	tooLong := fmt.Errorf("the answer is longer than %d bytes", most)
	if resp.ContentLength > most {
		return nil, tooLong
	}
	answer, err := io.ReadAll(io.LimitReader(resp.Body, most+1))
	if err == nil && int64(len(answer)) > most {
		err = tooLong
	}
	return answer, err
}
