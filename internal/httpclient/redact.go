package httpclient

import (
	"errors"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// maxError is the maximum length of an error of net/http, in bytes.
const maxError = 1000

// bare returns the error without its URL, which may contain the owner of a key, and
// without text that the error quotes from a response that is not HTTP.
func bare(err error) error {
	if outer := (*url.Error)(nil); errors.As(err, &outer) {
		err = outer.Err
	}
	text, _, found := strings.Cut(err.Error(), "malformed")
	switch {
	case len(text) > maxError:
		return errors.New("the response is not HTTP")
	case found:
		return errors.New(text + "malformed")
	}
	return err
}

// secretsOf returns the parts of the header's values. In "Bearer x", x alone is the
// secret.
func secretsOf(header http.Header) []string {
	var secrets []string
	for _, values := range header {
		for _, v := range values {
			for _, part := range strings.FieldsFunc(v, isSeparator) {
				secrets = append(secrets, part, strings.Trim(strconv.Quote(part), `"`))
			}
		}
	}
	return secrets
}

func isSeparator(r rune) bool { return strings.ContainsRune(" \t,;\"", r) }

// minSecret is the minimum length of a part of a value that counts as a secret, in
// bytes. Shorter words, such as "Bearer", occur in errors anyway.
const minSecret = 8

// Redact replaces an error that contains a secret of the header. Some errors quote
// data from the service, and the service may return data that it received.
func (c *Client) Redact(err error) error {
	// Errors of the network quote no response, and the host needs them.
	if network := (*net.OpError)(nil); errors.As(err, &network) {
		return err
	}
	text := err.Error()
	for _, s := range c.secrets() {
		if len(s) >= minSecret && strings.Contains(text, s) {
			return errors.New("the error is not shown, since it contains a secret of the request")
		}
	}
	return err
}
