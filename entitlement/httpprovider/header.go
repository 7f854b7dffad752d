package httpprovider

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
)

// A header holds the fields of each request, which authenticate the client.
type header struct {
	fields  http.Header
	secrets []string // must not appear in errors
}

func newHeader(h http.Header) *header {
	fields := http.Header{}
	var secrets []string
	for name, values := range h {
		for _, v := range values {
			fields.Add(name, v)
			// In "Bearer x", x alone is the secret.
			for _, part := range strings.FieldsFunc(v, between) {
				secrets = append(secrets, part, quoted(part))
			}
		}
	}
	fields.Set("Accept", contentType)
	fields.Set("Accept-Encoding", "identity")
	fields.Set("Cache-Control", "no-cache") // a cache could return a plan that has ended
	return &header{fields, secrets}
}

// quoted returns part as %q prints it, without the quotes.
func quoted(part string) string { return strings.Trim(strconv.Quote(part), `"`) }

func between(r rune) bool { return strings.ContainsRune(" \t,;\"", r) }

// shortest is the minimum length of a part of a value that counts as a secret.
// Shorter words, such as "Bearer", occur in errors anyway.
const shortest = 8

// withhold replaces an error that contains a secret. Some errors of net/http
// quote what the service sent, and the service may send back what it received.
func (h *header) withhold(err error) error {
	// Errors of the network quote no response, and the host needs them.
	if network := (*net.OpError)(nil); errors.As(err, &network) {
		return err
	}
	text := err.Error()
	for _, s := range h.secrets {
		if len(s) >= shortest && strings.Contains(text, s) {
			return errors.New("the error is not shown, since it contains a value of Options.Header")
		}
	}
	return err
}

// checkHeader returns an error if the header cannot be sent. The error does not
// contain the values.
func checkHeader(h http.Header) error {
	for name, values := range h {
		if name == "" || strings.ContainsFunc(name, notInName) {
			return fmt.Errorf("Options.Header: %q is not a valid field name", name)
		}
		for _, v := range values {
			if strings.ContainsFunc(v, control) {
				return fmt.Errorf("Options.Header: %s contains control characters", name)
			}
		}
	}
	return nil
}

func control(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }

// notInName reports whether r may not occur in a token of RFC 9110, section
// 5.6.2.
func notInName(r rune) bool {
	letter := 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9'
	return !letter && !strings.ContainsRune("!#$%&'*+-.^_`|~", r)
}
