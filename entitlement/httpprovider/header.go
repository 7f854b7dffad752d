package httpprovider

import (
	"fmt"
	"net/http"
	"strings"
)

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
