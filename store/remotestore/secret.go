package remotestore

import (
	"bytes"
	"encoding/base64"
	"errors"
)

// The bounds of a secret, in bytes. The minimum is the length of the hash by which
// secrets are compared. The maximum keeps the header well below the usual limits.
const (
	minSecret = 32
	maxSecret = 1024
)

// authorization returns the Authorization header for the secret. The secret may be
// any bytes, so it is sent in base64url without padding.
func authorization(secret []byte) (string, error) {
	switch {
	case len(secret) < minSecret || len(secret) > maxSecret:
		return "", errors.New("the secret must have 32 to 1,024 bytes")
	case bytes.Count(secret, secret[:1]) == len(secret):
		return "", errors.New("the secret must be random, but all its bytes are the same")
	}
	return "Bearer " + base64.RawURLEncoding.EncodeToString(secret), nil
}
