package apikey

import (
	"net/http"
	"net/textproto"
	"slices"
	"strings"
)

// maxCredential bounds the token in a header, in bytes. Go's server admits
// headers of a megabyte.
const maxCredential = maxLegacy

// A carrier is a request header that may hold a token.
type carrier struct {
	header string // canonical
	bearer bool   // the token stands behind the Bearer scheme
}

// neverCarriers are headers that browsers or proxies write, forward or log on
// their own, so that a token in one is neither safe nor surely the client's. A name
// that ends in "-" stands for all that begin with it.
var neverCarriers = []string{
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

// neverCarries reports whether a header is one of neverCarriers, also if a proxy
// that writes "_" as "-" makes one of it.
func neverCarries(name string) bool {
	name = textproto.CanonicalMIMEHeaderKey(strings.ReplaceAll(name, "_", "-"))
	return slices.ContainsFunc(neverCarriers, func(never string) bool {
		return name == never || strings.HasSuffix(never, "-") && strings.HasPrefix(name, never)
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
	if neverCarries(name) {
		return carrier{}, &InvalidError{Field: "Headers", Reason: "must not include " + name}
	}
	return carrier{header: name, bearer: name == "Authorization"}, nil
}

// confusable reports whether a proxy that writes "_" as "-" would make one
// header of the two.
func (c carrier) confusable(other carrier) bool {
	return strings.EqualFold(strings.ReplaceAll(c.header, "_", "-"), strings.ReplaceAll(other.header, "_", "-"))
}

// isHTTPToken reports whether s is a token of RFC 9110, section 5.6.2.
func isHTTPToken(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("!#$%&'*+-.^_`|~", r)
	})
}

// extract finds the one token that the headers carry, and the header that carried
// it. It is the only function that reads a credential from a request. A header with
// a credential of another scheme, such as a proxy's Basic, carries none of ours; it
// is returned with [ErrMissing].
func extract(carriers []carrier, h http.Header) (token string, via *carrier, err error) {
	var value string
	var foreign *carrier
	for i := range carriers {
		values := h[carriers[i].header]
		if len(values) == 0 {
			continue
		}
		if len(values) == 1 && carriers[i].foreign(values[0]) {
			foreign = &carriers[i]
			continue
		}
		// Never the first of two: a proxy in front may have checked the other.
		// An empty one counts, since it too was sent.
		if len(values) > 1 || via != nil {
			return "", nil, ErrAmbiguous
		}
		value, via = values[0], &carriers[i]
	}
	if via == nil {
		return "", foreign, ErrMissing
	}
	token, err = via.token(value)
	return token, via, err
}

// foreign reports whether value is a credential of another scheme than Bearer. A
// scheme alone is not: it could be a token that lacks its scheme.
func (c *carrier) foreign(value string) bool {
	if !c.bearer || strings.HasPrefix(value, "Bearer ") {
		return false
	}
	scheme, _, ok := strings.Cut(value, " ")
	return ok && len(scheme) <= maxCredential && !strings.EqualFold(scheme, "Bearer") && isHTTPToken(scheme)
}

// token takes the token out of the header's value. It bounds it; Validate looks
// at what it is made of.
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

// bearer returns the token behind the scheme. Another scheme is no credential of
// ours: RFC 6750, section 3.1, wants no error code for it.
func bearer(value string) (string, error) {
	if rest, ok := strings.CutPrefix(value, "Bearer "); ok && len(rest) <= maxCredential {
		return strings.TrimLeft(rest, " "), nil // as nearly all do
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
