package webhook

import (
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"net/http"
	"strconv"
	"time"
)

// tolerance is how far a signature's time may be from now, to either side. Both
// Stripe and Standard Webhooks' libraries have five minutes.
const tolerance = 5 * time.Minute

// Bounds of the headers. A sender signs with each of its secrets, which are one
// or two.
const (
	maxHeader     = 4096 // bytes
	maxSignatures = 16
)

var (
	errHeader   = errors.New("malformed")
	errUnsigned = errors.New("unsigned")
	errStale    = errors.New("the signature's time is too far from now")
	errForged   = errors.New("no signature is by a known secret")
)

// A signature is what the headers say, of which nothing is believed yet.
type signature struct {
	event  string // its id, where the headers have one
	at     time.Time
	before string // what is signed before the body
	macs   [][]byte
}

// fresh reports whether the signature's time is near enough.
func (s signature) fresh(now time.Time) bool {
	return now.Sub(s.at).Abs() <= tolerance
}

// by reports whether one of the keys has signed the body. It looks at all of
// them and compares in constant time, so that how long it takes says nothing.
func (s signature) by(keys [][]byte, body []byte) bool {
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

// header returns the header's only value. Two are refused, since a proxy may
// have looked at the other one.
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

// unixTime reads seconds, in decimal digits and nothing else.
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
