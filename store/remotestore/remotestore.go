package remotestore

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/keyhatch/keyhatch/internal/httpclient"
	"github.com/keyhatch/keyhatch/internal/strictjson"
	"github.com/keyhatch/keyhatch/store"
)

// A Store is a [store.Store] that calls a [Handler] over HTTP. Its methods may be
// called from many goroutines. Create one with [New].
type Store struct {
	address string // with a slash at the end, to which an operation's name is appended
	client  *httpclient.Client
}

var _ store.Store = (*Store)(nil)

// New returns a Store that calls the service at baseURL, where a [Handler] is
// mounted. If opts is nil, the defaults are used. New does not connect.
//
// baseURL must be https, or http with a loopback host; see [Options.InsecureHTTP].
// It may have a path, but no user, query or fragment. The secret must be the one
// that the Handler has: 32 to 1,024 random bytes. New returns an error if an
// argument or option is invalid.
func New(baseURL string, secret []byte, opts *Options) (*Store, error) {
	header, err := authorization(secret)
	if err != nil {
		return nil, fmt.Errorf("remotestore: %w", err)
	}
	if err := opts.validate(); err != nil {
		return nil, fmt.Errorf("remotestore: %w", err)
	}
	o := opts.withDefaults()
	u, err := httpclient.CheckURL(baseURL, o.InsecureHTTP)
	if err != nil {
		return nil, fmt.Errorf("remotestore: baseURL %w", err)
	}
	client := httpclient.New(o.Transport, o.Timeout, http.Header{"Authorization": {header}}, http.Header{
		"Content-Type":    {contentType},
		"Accept":          {contentType},
		"Accept-Encoding": {"identity"},
	})
	return &Store{address: u.JoinPath("v1").String() + "/", client: client}, nil
}

// Options configure a [Store]. The zero value is a good default.
type Options struct {
	// TLS is the TLS configuration: a client certificate, or the CA that signed the
	// service's certificate. Nil means the system's CAs and TLS 1.2 or later. It
	// must be nil if Transport is set.
	TLS *tls.Config

	// Transport sends the requests, with its own TLS configuration. Nil means a
	// transport with at most 64 connections, and HTTP/2 if the service supports it.
	//
	// The default transport ignores HTTPS_PROXY and the other proxy variables: they
	// are meant for traffic that leaves the network, and every validation would
	// depend on the proxy. To use a proxy, pass an http.Transport with Proxy set.
	Transport http.RoundTripper

	// Timeout bounds each call, from sending the request to reading the last byte
	// of the response, in addition to the context. It must not be negative. Zero
	// means 3 s. If Touch sends several batches, Timeout bounds each of them.
	Timeout time.Duration

	// InsecureHTTP allows http to hosts other than this one. Anyone who can read
	// the network traffic then has the secret, and can create, read and revoke keys
	// of every owner.
	InsecureHTTP bool
}

func (o *Options) withDefaults() (d Options) {
	if o != nil {
		d = *o
	}
	if d.Timeout == 0 {
		d.Timeout = 3 * time.Second
	}
	if d.Transport == nil {
		d.Transport = httpclient.NewTransport(d.TLS, d.Timeout)
	}
	return d
}

func (o *Options) validate() error {
	switch {
	case o == nil:
		return nil
	case o.Timeout < 0:
		return errors.New("Options.Timeout must not be negative")
	case o.TLS != nil && o.Transport != nil:
		return errors.New("Options.TLS must be nil if Options.Transport is set; configure TLS in the transport")
	}
	return nil
}

// Close closes idle connections, which would otherwise close 30 s after their last
// use. The Store remains usable. Close always returns nil.
func (s *Store) Close() error {
	s.client.Close()
	return nil
}

// call sends a request and decodes the response. The caller must check that the
// response belongs to the request.
func call[Response any](ctx context.Context, s *Store, o operation, request any) (Response, error) {
	var response, none Response
	body, err := json.Marshal(request)
	switch {
	case err != nil:
		return none, o.notSent(err)
	case len(body) > maxRequest:
		return none, o.notSent(fmt.Errorf("the request is too large: %d bytes", len(body)))
	}
	status, body, err := s.client.Do(ctx, httpclient.Request{
		Method: http.MethodPost, URL: s.address + o.name, Body: body, TimeoutHeader: timeoutHeader,
		Repeatable: !o.writes, Check: checkResponse, MaxBody: o.maxResponse,
	})
	switch {
	case err != nil:
		return none, o.outage(err)
	case status != http.StatusOK:
		return none, o.sentinelOf(status, body)
	}
	if err := strictjson.DecodeCanonical(body, &response); err != nil {
		return none, o.outage(err)
	}
	return response, nil
}

// do calls an operation that returns only an error.
func (s *Store) do(ctx context.Context, o operation, request any) error {
	response, err := call[doneResponse](ctx, s, o, request)
	if err == nil && !response.Done {
		err = o.outage(errors.New("the response does not confirm the call"))
	}
	return err
}

// checkResponse returns an error if a Handler cannot have sent the response.
func checkResponse(resp *http.Response) error {
	types := resp.Header["Content-Type"]
	ours := len(types) == 1 && types[0] == contentType && len(resp.Header["Content-Encoding"]) == 0
	switch resp.StatusCode {
	case http.StatusUnauthorized:
		return errors.New("the service rejected the secret (status 401)")
	case http.StatusOK, http.StatusNotFound, http.StatusConflict, http.StatusNotImplemented:
		if !ours {
			return fmt.Errorf("status %d, but the response is not from a key service", resp.StatusCode)
		}
		return nil
	case http.StatusServiceUnavailable:
		if ours { // a response from a proxy, or for a failed store, has another type or none
			return nil
		}
	}
	return fmt.Errorf("status %d", resp.StatusCode)
}

// The bounds of a secret, in bytes. The minimum is the length of the hash by which
// secrets are compared. The maximum keeps the header well below the usual limits.
const (
	minSecret = 32
	maxSecret = 1024
)

// authorization returns the Authorization header for the secret. The secret may be
// any bytes, so it is sent in base64url without padding.
func authorization(secret []byte) (string, error) {
	switch {
	case len(secret) < minSecret || len(secret) > maxSecret:
		return "", errors.New("the secret must have 32 to 1,024 bytes")
	case bytes.Count(secret, secret[:1]) == len(secret):
		return "", errors.New("the secret must be random, but all its bytes are the same")
	}
	return "Bearer " + base64.RawURLEncoding.EncodeToString(secret), nil
}
