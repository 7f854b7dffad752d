package remotestore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/keyhatch/keyhatch/internal/httpclient"
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
// response cannot come from a Handler.
func (s *Store) post(ctx context.Context, v verb, question []byte) (status int, answer []byte, err error) {
	return s.client.Do(ctx, httpclient.Request{
		Method: http.MethodPost, URL: s.address + v.name, Body: question, Repeatable: !v.writes, Check: genuine, MaxBody: v.most,
	})
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
