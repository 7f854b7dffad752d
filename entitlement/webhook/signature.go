package webhook

import (
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"net/http"
	"strconv"
	"time"
)

// tolerance is the maximum difference between a signature's time and now, in
// both directions. Stripe and the libraries of Standard Webhooks have five
// minutes too.
const tolerance = 5 * time.Minute

// Bounds of the headers. A billing system signs with each of its secrets, of which
// there are one or two.
const (
	maxHeader     = 4096 // bytes
	maxSignatures = 16
)

var (
	errHeader   = errors.New("a signature header is malformed")
	errUnsigned = errors.New("a signature header is missing")
	errStale    = errors.New("the signature's time is more than 5 minutes from now")
	errForged   = errors.New("no signature matches a configured secret; if the billing system sent the request, the endpoint has another secret")
)

// A signature holds the contents of the headers, before they are verified.
type signature struct {
	event  string // the event's ID, if the headers have one
	at     time.Time
	before string // the signed text before the body
	macs   [][]byte
}

// isFresh reports whether the signature's time is within the tolerance.
func (s signature) isFresh(now time.Time) bool {
	return now.Sub(s.at).Abs() <= tolerance
}

// isSignedBy reports whether one of the keys has signed the body. It compares all of
// them in constant time, so that the duration reveals nothing.
func (s signature) isSignedBy(keys [][]byte, body []byte) bool {
	found := false
	for _, key := range keys {
		h := hmac.New(sha256.New, key)
		h.Write([]byte(s.before))
		h.Write(body)
		want := h.Sum(nil)
		for _, mac := range s.macs {
			if hmac.Equal(mac, want) {
				found = true
			}
		}
	}
	return found
}

// header returns the header's only value. It refuses two values, since a proxy
// may have checked the other one.
func header(h http.Header, name string) (string, error) {
	values := h[name]
	switch {
	case len(values) == 0:
		return "", errUnsigned
	case len(values) > 1 || len(values[0]) > maxHeader:
		return "", errHeader
	case values[0] == "":
		return "", errUnsigned
	}
	return values[0], nil
}

// unixTime parses a time in seconds, written in decimal digits only.
func unixTime(s string) (time.Time, error) {
	if s == "" || len(s) > len("253402300799") { // the end of the year 9999
		return time.Time{}, errHeader
	}
	for _, c := range []byte(s) {
		if c < '0' || c > '9' {
			return time.Time{}, errHeader
		}
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n == 0 || n > 253402300799 {
		return time.Time{}, errHeader
	}
	return time.Unix(n, 0).UTC(), nil
}
