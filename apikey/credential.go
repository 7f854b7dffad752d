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
// their own, so that a token in one is neither safe nor surely the client's.
var neverCarriers = []string{
	"Access-Control-Request-Headers", "Access-Control-Request-Method", "Connection", "Content-Length",
	"Cookie", "Expect", "Forwarded", "Host", "Keep-Alive", "Origin", "Proxy-Authorization",
	"Proxy-Connection", "Referer", "Set-Cookie", "Te", "Trailer", "Transfer-Encoding", "Upgrade",
	"User-Agent", "Via", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-Ip",
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
	if slices.Contains(neverCarriers, name) {
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

// extract finds the one token that the headers carry, and what carried it. It
// is the only function that reads a credential from a request.
func extract(carriers []carrier, h http.Header) (token string, via *carrier, err error) {
	var value string
	for i := range carriers {
		values := h[carriers[i].header]
		if len(values) == 0 {
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
		return "", nil, ErrMissing
	}
	token, err = via.token(value)
	return token, via, err
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

// bearer returns what stands behind the scheme. Credentials of another scheme
// are none of ours: RFC 6750, section 3.1, wants no error code for them.
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
