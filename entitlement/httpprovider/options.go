package httpprovider

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"
)

// Options adjust a [Provider]. The zero value is right for a service on this
// machine.
type Options struct {
	// Header is sent with every question, as to prove who asks. No error and no
	// print of the Options shows its values. Accept, Accept-Encoding and Cache-Control are the Provider's
	// own.
	Header http.Header

	// Timeout bounds each question, from the first byte sent to the last one
	// read, whatever the context allows. Default 2 s, which is what a request
	// with a key that is not cached may have to wait.
	Timeout time.Duration

	// Transport sends the questions. Nil is a transport with up to 64
	// connections, the system's CAs, and HTTP/2 where the service speaks it.
	//
	// That one asks no proxy, whatever the environment says: HTTPS_PROXY is
	// set for what leaves the network, and every validation would come to
	// depend on it. Set http.Transport.Proxy where one is meant.
	Transport http.RoundTripper

	// InsecureHTTP allows http to hosts other than this one. Whoever is on the
	// network then has the Header, and says which plan an owner has.
	InsecureHTTP bool
}

// Format writes the options without the Header, for every verb.
func (o Options) Format(f fmt.State, verb rune) {
	type options Options // without this method
	o.Header = nil
	_, _ = fmt.Fprintf(f, fmt.FormatString(f, verb), options(o))
}

// MarshalText returns what Format writes, for log/slog and encoding/json.
func (o Options) MarshalText() ([]byte, error) { return fmt.Appendf(nil, "%+v", o), nil }

func (o *Options) withDefaults() Options {
	var opts Options
	if o != nil {
		opts = *o
	}
	if opts.Timeout == 0 {
		opts.Timeout = 2 * time.Second
	}
	if opts.Transport == nil {
		opts.Transport = newTransport(opts.Timeout)
	}
	return opts
}

func (o *Options) validate() error {
	switch {
	case o == nil:
		return nil
	case o.Timeout < 0:
		return errors.New("Options.Timeout must not be negative")
	}
	return checkHeader(o.Header)
}

// maxConns is how many calls a Manager has under way at most.
const maxConns = 64

func newTransport(timeout time.Duration) *http.Transport {
	return &http.Transport{
		DialContext:            (&net.Dialer{Timeout: timeout}).DialContext,
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
