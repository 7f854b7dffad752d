package apikey

import (
	"net/http"
	"net/textproto"
	"slices"
	"strings"
)

// maxCredential bounds the token in a header, in bytes. Go's server accepts headers
// of up to a megabyte.
const maxCredential = maxLegacy

// A carrier is a request header that may hold a token.
type carrier struct {
	header string // canonical
	bearer bool   // the token follows the Bearer scheme
}

// forbiddenHeaders cannot carry a token. Browsers or proxies set, forward or log them
// on their own, so a token in one may leak, or may not come from the client. A name
// that ends in "-" is a prefix.
var forbiddenHeaders = []string{
	"Accept", "Accept-", "Access-Control-", "Alt-", "B3", "Baggage", "Cache-Control", "Cdn-", "Cf-", "Client-Ip", "Connection",
	"Content-", "Cookie", "Cookie2", "Date", "Device-Memory", "Dnt", "Downlink", "Dpr", "Early-Data", "Ect", "Expect", "Fastly-",
	"Fly-", "Forwarded", "From", "Host", "Http2-Settings", "Idempotency-Key", "If-", "Keep-Alive", "Last-Event-Id", "Max-Forwards",
	"Newrelic", "Origin", "Ping-", "Pragma", "Priority", "Proxy-", "Purpose", "Range", "Referer", "Rtt", "Save-Data", "Sec-",
	"Sentry-Trace", "Service-Worker", "Set-Cookie", "Set-Cookie2", "Te", "Traceparent", "Tracestate", "Trailer",
	"Transfer-Encoding", "True-Client-Ip", "Uber-Trace-Id", "Upgrade", "Upgrade-Insecure-Requests", "User-Agent", "Via",
	"Viewport-Width", "Warning", "Width", "X-Amz-", "X-Amzn-", "X-Appengine-", "X-Arr-", "X-Azure-", "X-B3-", "X-Client-Ip",
	"X-Cloud-Trace-Context", "X-Cluster-Client-Ip", "X-Correlation-Id", "X-Datadog-", "X-Envoy-", "X-Forwarded", "X-Forwarded-",
	"X-Http-Method-Override", "X-Original-", "X-Ot-", "X-Real-Ip", "X-Request-Id", "X-Requested-With", "X-Rewrite-Url", "X-Vercel-",
}

// isForbidden reports whether a header is one of forbiddenHeaders. Some proxies change
// "_" to "-", so the two count as equal.
func isForbidden(name string) bool {
	name = textproto.CanonicalMIMEHeaderKey(strings.ReplaceAll(name, "_", "-"))
	return slices.ContainsFunc(forbiddenHeaders, func(forbidden string) bool {
		return name == forbidden || strings.HasSuffix(forbidden, "-") && strings.HasPrefix(name, forbidden)
	})
}

// newCarriers checks the names of [Options.Headers].
func newCarriers(headers []string) ([]carrier, error) {
	if len(headers) == 0 {
		return nil, &InvalidError{Field: "Headers", Reason: "must name at least one header"}
	}
	carriers := make([]carrier, 0, len(headers))
	for _, name := range headers {
		c, err := newCarrier(name)
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(carriers, c.confusable) {
			return nil, &InvalidError{Field: "Headers", Reason: "must not name a header twice"}
		}
		carriers = append(carriers, c)
	}
	return carriers, nil
}

func newCarrier(name string) (carrier, error) {
	if !isHTTPToken(name) {
		return carrier{}, &InvalidError{Field: "Headers", Reason: "must be header names (RFC 9110, section 5.1)"}
	}
	name = textproto.CanonicalMIMEHeaderKey(name)
	if isForbidden(name) {
		return carrier{}, &InvalidError{Field: "Headers", Reason: "must not include " + name}
	}
	return carrier{header: name, bearer: name == "Authorization"}, nil
}

// confusable reports whether a proxy that changes "_" to "-" would merge the two
// headers.
func (c carrier) confusable(other carrier) bool {
	return strings.EqualFold(strings.ReplaceAll(c.header, "_", "-"), strings.ReplaceAll(other.header, "_", "-"))
}

// isHTTPToken reports whether s is a token of RFC 9110, section 5.6.2.
func isHTTPToken(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("!#$%&'*+-.^_`|~", r)
	})
}

// extract returns the only token in the headers, and the header that carried it. No
// other function reads a credential from a request. If the only credential has
// another scheme, such as Basic for a proxy, extract returns its header with
// [ErrMissing].
func extract(carriers []carrier, h http.Header) (token string, via *carrier, err error) {
	var value string
	var other *carrier
	for i := range carriers {
		values := h[carriers[i].header]
		if len(values) == 0 {
			continue
		}
		if len(values) == 1 && carriers[i].hasOtherScheme(values[0]) {
			other = &carriers[i]
			continue
		}
		// Taking the first of two values would be unsafe: a proxy may have checked
		// the other. An empty value counts too.
		if len(values) > 1 || via != nil {
			return "", nil, ErrAmbiguous
		}
		value, via = values[0], &carriers[i]
	}
	if via == nil {
		return "", other, ErrMissing
	}
	token, err = via.token(value)
	return token, via, err
}

// hasOtherScheme reports whether value is a credential of a scheme other than Bearer.
// A single word is not: it may be a token without its scheme.
func (c *carrier) hasOtherScheme(value string) bool {
	if !c.bearer || strings.HasPrefix(value, "Bearer ") {
		return false
	}
	scheme, _, ok := strings.Cut(value, " ")
	return ok && len(scheme) <= maxCredential && !strings.EqualFold(scheme, "Bearer") && isHTTPToken(scheme)
}

// token returns the token in a header's value. It checks the length only; Validate
// checks the form.
func (c *carrier) token(value string) (string, error) {
	if c.bearer {
		var err error
		if value, err = bearer(value); err != nil {
			return "", err
		}
	}
	if len(value) > maxCredential {
		return "", ErrMalformed
	}
	return value, nil
}

// bearer returns the token after the scheme. For another scheme it returns
// [ErrMissing]: RFC 6750, section 3.1, says that the response then has no error code.
func bearer(value string) (string, error) {
	if rest, ok := strings.CutPrefix(value, "Bearer "); ok && len(rest) <= maxCredential {
		return strings.TrimLeft(rest, " "), nil // the usual spelling, without allocating
	}
	scheme, rest, _ := strings.Cut(value, " ")
	switch {
	case strings.EqualFold(scheme, "Bearer"):
		if len(rest) > maxCredential {
			return "", ErrMalformed
		}
		return strings.TrimLeft(rest, " "), nil
	case len(scheme) <= maxCredential && isHTTPToken(scheme):
		return "", ErrMissing
	}
	return "", ErrMalformed
}
