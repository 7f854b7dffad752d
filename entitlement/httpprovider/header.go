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
