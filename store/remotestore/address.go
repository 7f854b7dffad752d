package remotestore

import (
	"errors"
	"net/url"
	"strings"

	"github.com/keyhatch/keyhatch/internal/loopback"
)

// address checks the base URL and returns the URL to which the method names are
// appended. Its errors do not contain the URL, which may hold a password.
func address(base string, insecureHTTP bool) (string, error) {
	u, err := url.Parse(base)
	switch {
	case err != nil || u.Opaque != "" || u.Hostname() == "":
		return "", errors.New("baseURL must be an absolute URL, such as https://keys.internal/keyhatch")
	case u.User != nil:
		return "", errors.New("baseURL must not contain a user or password")
	case strings.ContainsAny(base, "?#"):
		return "", errors.New("baseURL must not have a query or a fragment")
	case u.Scheme == "http" && !insecureHTTP && !loopback.Is(u.Hostname()):
		return "", errors.New("baseURL must be https, since http exposes the secret to the network; see Options.InsecureHTTP")
	case u.Scheme != "https" && u.Scheme != "http":
		return "", errors.New("baseURL must be https")
	}
	return u.JoinPath("v1").String() + "/", nil
}
