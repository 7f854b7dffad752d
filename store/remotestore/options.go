package remotestore

import (
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"time"
)

// Options adjust a [Store]. The zero value is right for most.
type Options struct {
	// TLS holds a certificate of this gateway's own, or the CA that vouches for
	// the service. Nil means the system's CAs, and TLS 1.2 or later.
	TLS *tls.Config

	// Transport sends the requests in another way; TLS is then its own. Nil is
	// a transport with up to 64 connections, HTTP/2 where the service speaks
	// it.
	//
	// That one asks no proxy, whatever the environment says: HTTPS_PROXY is
	// set for what leaves the network, and every validation would come to
	// depend on it. Set http.Transport.Proxy where one is meant.
	Transport http.RoundTripper

	// Timeout bounds each call, from the first byte sent to the last one read,
	// whatever the context allows. Default 3 s. A Touch that is sent in parts
	// has as long for each.
	Timeout time.Duration

	// InsecureHTTP allows http to hosts other than this one. Whoever can
	// listen on the network then has the secret, and with it every key.
	InsecureHTTP bool
}

func (o *Options) withDefaults() Options {
	var opts Options
	if o != nil {
		opts = *o
	}
	if opts.Timeout == 0 {
		opts.Timeout = 3 * time.Second
	}
	if opts.Transport == nil {
		opts.Transport = newTransport(opts.TLS.Clone(), opts.Timeout)
	}
	return opts
}

func (o *Options) validate() error {
	switch {
	case o == nil:
		return nil
	case o.Timeout < 0:
		return errors.New("Options.Timeout must not be negative")
	case o.TLS != nil && o.Transport != nil:
		return errors.New("Options.TLS must be nil with a Transport, which has its own")
	}
	return nil
}

// maxConns is how many calls a Manager has under way at most.
const maxConns = 64

func newTransport(config *tls.Config, timeout time.Duration) *http.Transport {
	return &http.Transport{
		DialContext:            (&net.Dialer{Timeout: timeout}).DialContext,
		TLSClientConfig:        config,
		TLSHandshakeTimeout:    timeout,
		ForceAttemptHTTP2:      true,
		MaxConnsPerHost:        maxConns,
		MaxIdleConnsPerHost:    maxConns,
		IdleConnTimeout:        30 * time.Second,
		ResponseHeaderTimeout:  timeout,
		MaxResponseHeaderBytes: 16 << 10,
		DisableCompression:     true, // what is small on the wire must be small in memory
		// One connection carries all calls of HTTP/2. When it dies without a
		// word, only a ping that stays unanswered tells.
		HTTP2: &http.HTTP2Config{SendPingTimeout: 5 * time.Second, PingTimeout: timeout},
	}
}

// HandlerOptions adjust a [Handler].
type HandlerOptions struct {
	// OlderSecrets are accepted beside the current one, so that it can be
	// replaced without downtime: first the service gets the new secret with
	// the old one here, then the clients get the new one, then it goes.
	OlderSecrets [][]byte

	// Logger gets the store's failures, at level error, since clients are not
	// told more than that there was one; at level debug when the client had
	// gone, and refused secrets. Nil discards them.
	Logger *slog.Logger
}

func (o *HandlerOptions) withDefaults() HandlerOptions {
	var opts HandlerOptions
	if o != nil {
		opts = *o
	}
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	return opts
}
