package remotestore

import (
	"bytes"
	"encoding/base64"
	"errors"
)

// The bounds of a secret, in bytes. The lower one is that of the hash it is
// compared by; the upper one keeps it well inside what a header may hold.
const (
	minSecret = 32
	maxSecret = 1024
)

// authorization is the header that carries the secret, which may be any bytes
// and so is always in base64url, without padding.
func authorization(secret []byte) (string, error) {
	switch {
	case len(secret) < minSecret || len(secret) > maxSecret:
		return "", errors.New("the secret must have 32 to 1,024 bytes")
	case bytes.Count(secret, secret[:1]) == len(secret):
		return "", errors.New("the secret must be random, not one byte repeated")
	}
	return "Bearer " + base64.RawURLEncoding.EncodeToString(secret), nil
}
