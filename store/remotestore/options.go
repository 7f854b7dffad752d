package remotestore

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/keyhatch/keyhatch/internal/httpclient"
)

// Options adjust a [Store]. The zero value is a good default.
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
	// means 3 s. If Touch sends several batches, it bounds each of them.
	Timeout time.Duration

	// InsecureHTTP allows http to hosts other than this one. Anyone who can read
	// the network traffic then has the secret, and can create, read and revoke keys
	// of every owner.
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
		opts.Transport = httpclient.NewTransport(opts.TLS, opts.Timeout)
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
		return errors.New("Options.TLS must be nil if Options.Transport is set; configure TLS in the transport")
	}
	return nil
}

// HandlerOptions adjust a [Handler].
type HandlerOptions struct {
	// OlderSecrets are accepted in addition to the current secret, so that it can
	// be replaced without downtime: give the service the new secret with the old
	// one here, then give the clients the new secret, then remove the old one. Each
	// must have 32 to 1,024 random bytes.
	OlderSecrets [][]byte

	// Logger receives the store's errors, which are not sent to clients: at level
	// error, or at level debug if the client had disconnected. It also receives
	// rejected secrets, at level debug. Nil discards all of them, which hides
	// outages; set it.
	Logger *slog.Logger
}

// Format writes the options without the OlderSecrets, for every verb.
func (o HandlerOptions) Format(f fmt.State, verb rune) {
	type options HandlerOptions // without this method
	o.OlderSecrets = nil
	_, _ = fmt.Fprintf(f, fmt.FormatString(f, verb), options(o))
}

// MarshalText returns the text that Format writes, for log/slog and encoding/json.
func (o HandlerOptions) MarshalText() ([]byte, error) { return fmt.Appendf(nil, "%+v", o), nil }

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
