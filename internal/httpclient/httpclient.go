// Package httpclient calls one service of the host over HTTP, with a secret header. It
// sends the secret nowhere else, reads a bounded amount, and its errors contain no
// secret.
package httpclient

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/keyhatch/keyhatch/internal/loopback"
)

// CheckURL parses the URL of a service. It returns an error for http to another
// machine, unless insecureHTTP is set. The error does not contain the URL, which may
// hold a password.
func CheckURL(address string, insecureHTTP bool) (*url.URL, error) {
	u, err := url.Parse(address)
	switch {
	case err != nil || u.Opaque != "" || u.Hostname() == "":
		return nil, errors.New("must be an absolute URL, such as https://service.internal/path")
	case u.User != nil:
		return nil, errors.New("must not contain a user or a password")
	case strings.ContainsAny(address, "?#"):
		return nil, errors.New("must not have a query or a fragment")
	case u.Scheme == "http" && !insecureHTTP && !loopback.Is(u.Hostname()):
		return nil, errors.New("must begin with https, since anyone on the network can read and change data sent over http; see Options.InsecureHTTP")
	case u.Scheme != "https" && u.Scheme != "http":
		return nil, errors.New("must begin with https")
	}
	return u, nil
}

// maxConns is the maximum number of concurrent calls that a Manager makes.
const maxConns = 64

// NewTransport returns a transport that uses no proxy, with at most 64 connections, and
// HTTP/2 if the service supports it. config may be nil.
func NewTransport(config *tls.Config, timeout time.Duration) *http.Transport {
	return &http.Transport{
		DialContext:            (&net.Dialer{Timeout: timeout}).DialContext,
		TLSClientConfig:        config.Clone(),
		TLSHandshakeTimeout:    timeout,
		ForceAttemptHTTP2:      true,
		MaxConnsPerHost:        maxConns,
		MaxIdleConnsPerHost:    maxConns,
		IdleConnTimeout:        30 * time.Second,
		ResponseHeaderTimeout:  timeout,
		MaxResponseHeaderBytes: 16 << 10,
		DisableCompression:     true, // a small response must not become large in memory
		// HTTP/2 sends all calls over one connection. If it breaks without notice,
		// only an unanswered ping shows it.
		HTTP2: &http.HTTP2Config{SendPingTimeout: 5 * time.Second, PingTimeout: timeout},
	}
}

// A Client calls a service. Create it with [New].
type Client struct {
	client  *http.Client
	timeout time.Duration
	header  func() http.Header // a function, so that fmt does not print the secrets
	secrets func() []string
}

// New returns a Client that sends the fields of both headers with every request; the values of
// secret do not appear in errors. The timeout bounds each request, from connecting to the last
// byte of the body.
func New(transport http.RoundTripper, timeout time.Duration, secret, header http.Header) *Client {
	secrets, all := secretsOf(secret), http.Header{}
	for name, values := range secret {
		for _, v := range values {
			all.Add(name, v)
		}
	}
	maps.Copy(all, header)
	return &Client{
		client:  &http.Client{Transport: transport, CheckRedirect: noRedirect},
		timeout: timeout,
		header:  func() http.Header { return all },
		secrets: func() []string { return secrets },
	}
}

// noRedirect makes the client return a redirect like any other response. Following it
// could send the secret to another host.
func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// A Request is what [Client.Do] sends, and which responses it accepts.
type Request struct {
	Method string
	URL    string
	Body   []byte

	// Repeatable allows the transport to send the request again if the service has
	// just closed an idle connection.
	Repeatable bool

	// TimeoutHeader, if set, names a header with the time in milliseconds that the
	// service has. The service has a twentieth less time than the caller waits.
	TimeoutHeader string

	// Check inspects the status and the header of the response. If it returns an
	// error, Do returns that.
	Check func(*http.Response) error

	// MaxBody is the maximum length of the response body in bytes.
	MaxBody int64
}

// Do sends a request and returns the status and the body of the response.
func (c *Client) Do(ctx context.Context, r Request) (status int, body []byte, err error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, r.Method, r.URL, bytes.NewReader(r.Body))
	if err != nil {
		return 0, nil, c.Redact(bare(err))
	}
	req.Header = c.header().Clone()
	if deadline, ok := ctx.Deadline(); ok && r.TimeoutHeader != "" {
		left := time.Until(deadline)
		req.Header.Set(r.TimeoutHeader, strconv.FormatInt(max(1, (left-left/20).Milliseconds()), 10))
	}
	if r.Repeatable {
		// net/http does not send a header without values; see http.Transport.
		req.Header["X-Idempotency-Key"] = nil
	}
	resp, err := c.client.Do(req)
	if err != nil {
		return 0, nil, c.Redact(bare(err))
	}
	defer resp.Body.Close()
	if err := r.Check(resp); err != nil {
		drain(resp)
		return 0, nil, c.Redact(err)
	}
	if body, err = read(resp, r.MaxBody); err != nil {
		return 0, nil, c.Redact(err)
	}
	return resp.StatusCode, body, nil
}

// Close closes idle connections, including those of the host's own transport. The Client
// remains usable.
func (c *Client) Close() { c.client.CloseIdleConnections() }

func read(resp *http.Response, limit int64) ([]byte, error) {
	tooLong := fmt.Errorf("the response is longer than %d bytes", limit)
	if resp.ContentLength > limit {
		return nil, tooLong
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, limit+1))
	if err == nil && int64(len(body)) > limit {
		err = tooLong
	}
	return body, err
}

// maxDrain is the maximum length of an unused body that is read, in bytes.
const maxDrain = 64 << 10

// drain reads the body of a response that is not used, since otherwise its connection
// cannot be reused. After a 101 there is no body, and the data that follows may never
// end, not even with the context.
func drain(resp *http.Response) {
	if resp.StatusCode >= http.StatusOK {
		io.CopyN(io.Discard, resp.Body, maxDrain)
	}
}
