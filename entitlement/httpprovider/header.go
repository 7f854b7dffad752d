package httpprovider

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
)

// A header is what proves who asks.
type header struct {
	fields  http.Header
	secrets []string // what no error may show
}

func newHeader(h http.Header) *header {
	fields := http.Header{}
	var secrets []string
	for name, values := range h {
		for _, v := range values {
			fields.Add(name, v)
			// Of "Bearer x" the x alone is as good as the whole.
			for _, part := range strings.FieldsFunc(v, between) {
				secrets = append(secrets, part, quoted(part))
			}
		}
	}
	fields.Set("Accept", contentType)
	fields.Set("Accept-Encoding", "identity")
	fields.Set("Cache-Control", "no-cache") // or a plan that is over comes out of one
	return &header{fields, secrets}
}

// quoted is what %q makes of a part.
func quoted(part string) string { return strings.Trim(strconv.Quote(part), `"`) }

func between(r rune) bool { return strings.ContainsRune(" \t,;\"", r) }

// shortest is the length from which on a part of a value is taken for a secret. The
// words that errors have anyway are shorter, as is "Bearer".
const shortest = 8

// withhold replaces an error that shows a secret. Some of net/http's quote what a
// service sent, and that may be what it was sent.
func (h *header) withhold(err error) error {
	// This one is of the network's making, and the one to know of.
	if network := (*net.OpError)(nil); errors.As(err, &network) {
		return err
	}
	text := err.Error()
	for _, s := range h.secrets {
		if len(s) >= shortest && strings.Contains(text, s) {
			return errors.New("the error is withheld, since it shows what Options.Header holds")
		}
	}
	return err
}

// checkHeader finds what could not be sent. Its errors do not repeat the values.
func checkHeader(h http.Header) error {
	for name, values := range h {
		if name == "" || strings.ContainsFunc(name, notInName) {
			return fmt.Errorf("Options.Header: %q is no name of a header field", name)
		}
		for _, v := range values {
			if strings.ContainsFunc(v, control) {
				return fmt.Errorf("Options.Header: %s has control characters in it", name)
			}
		}
	}
	return nil
}

func control(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }

// notInName goes by the tokens of RFC 9110, section 5.6.2.
func notInName(r rune) bool {
	letter := 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9'
	return !letter && !strings.ContainsRune("!#$%&'*+-.^_`|~", r)
}
