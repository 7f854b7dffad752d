package httpprovider

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/keyhatch/keyhatch/internal/httpclient"
)

// Options configure a [Provider]. The zero value is right for a service on this
// machine that needs no authentication.
type Options struct {
	// Header is sent with every request, for example to authenticate the
	// client. Its values do not appear in errors or printed Options. The
	// Provider replaces the fields Accept, Accept-Encoding and Cache-Control.
	Header http.Header

	// Timeout bounds each request, from connecting to the last byte of the body.
	// The context may end a request earlier. The default is 2 seconds. A request
	// with an uncached key may have to wait that long. Timeout must not be
	// negative.
	Timeout time.Duration

	// Transport sends the requests. Nil means a transport with at most 64
	// connections, the system's CA certificates, and HTTP/2 if the service
	// supports it.
	//
	// The default transport uses no proxy and ignores HTTPS_PROXY. That
	// variable is usually set for requests to the Internet, and every
	// validation would depend on the proxy. To use a proxy, set
	// http.Transport.Proxy.
	Transport http.RoundTripper

	// InsecureHTTP allows http to hosts other than this one. Everyone on the
	// network can then read the Header and decide which plan an owner has. Set it
	// only if something else, such as a service mesh, protects the connection.
	InsecureHTTP bool
}

// Format implements [fmt.Formatter]. It omits the Header, for every verb.
func (o Options) Format(f fmt.State, verb rune) {
	type options Options // has no Format method
	o.Header = nil
	_, _ = fmt.Fprintf(f, fmt.FormatString(f, verb), options(o))
}

// MarshalText implements [encoding.TextMarshaler] for log/slog and encoding/json.
// It omits the Header.
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
		opts.Transport = httpclient.NewTransport(nil, opts.Timeout)
	}
	return opts
}

func (o *Options) validate() error {
	switch {
	case o == nil:
		return nil
	case o.Timeout < 0:
		return invalid("Options.Timeout", errors.New("must not be negative"))
	}
	return checkHeader(o.Header)
}

// checkHeader returns an error if the header cannot be sent. The error does not
// contain the values.
func checkHeader(h http.Header) error {
	for name, values := range h {
		if name == "" || strings.ContainsFunc(name, isNotInName) {
			return invalid("Options.Header", fmt.Errorf("%q is not a valid field name", name))
		}
		for _, v := range values {
			if strings.ContainsFunc(v, isControl) {
				return invalid("Options.Header", fmt.Errorf("%s contains control characters", name))
			}
		}
	}
	return nil
}

func isControl(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }

// isNotInName reports whether r may not occur in a token of RFC 9110, section
// 5.6.2.
func isNotInName(r rune) bool {
	letter := 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9'
	return !letter && !strings.ContainsRune("!#$%&'*+-.^_`|~", r)
}
