package httpprovider

import (
	"errors"
	"net/url"
	"strings"

	"github.com/keyhatch/keyhatch/internal/loopback"
)

// checkAddress returns errors without the address, since it may contain a
// password.
func checkAddress(address string, insecureHTTP bool) error {
	u, err := url.Parse(address)
	switch {
	case err != nil || u.Opaque != "" || u.Hostname() == "":
		return errors.New("the address must be an absolute URL, such as https://billing.internal/plan")
	case u.User != nil:
		return errors.New("the address must not contain a user or a password; use Options.Header")
	case strings.ContainsAny(address, "?#"):
		return errors.New("the address must not have a query or a fragment")
	case u.Scheme == "http" && !insecureHTTP && !loopback.Is(u.Hostname()):
		return errors.New("the address must begin with https, since anyone on the network can forge responses to http; see Options.InsecureHTTP")
	case u.Scheme != "https" && u.Scheme != "http":
		return errors.New("the address must begin with https")
	}
	return nil
}
