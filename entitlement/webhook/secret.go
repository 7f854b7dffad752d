package webhook

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
)

// The bounds of a secret's key material, in bytes. The lower one is that of
// Standard Webhooks, which makes it 24 to 64; some senders have longer ones. An
// empty key would verify whatever anybody signs with it.
const (
	minSecret  = 24
	maxSecret  = 256
	maxSecrets = 8
)

// secretPrefix is what Standard Webhooks and Stripe begin a secret with.
const secretPrefix = "whsec_"

// keysOf reads secrets, each of which may stand for several keys. The errors do
// not show them.
func keysOf(secrets []string, read func(secret string) ([][]byte, error)) ([][]byte, error) {
	if len(secrets) == 0 {
		return nil, errors.New("there is no secret")
	}
	if len(secrets) > maxSecrets {
		return nil, fmt.Errorf("%d secrets, want at most %d", len(secrets), maxSecrets)
	}
	var keys [][]byte
	for i, secret := range secrets {
		if strings.ContainsFunc(secret, invisible) {
			return nil, fmt.Errorf("secret %d of %d: it has a space, a line break or another character that no secret has", i+1, len(secrets))
		}
		some, err := read(secret)
		if err != nil {
			return nil, fmt.Errorf("secret %d of %d: %w", i+1, len(secrets), err)
		}
		keys = append(keys, some...)
	}
	return keys, nil
}

// invisible is for what a secret that was read from a file brings along.
func invisible(r rune) bool { return r <= ' ' || r > '~' }

// checkKey finds key material that can be guessed.
func checkKey(key []byte) error {
	switch {
	case len(key) < minSecret || len(key) > maxSecret:
		return fmt.Errorf("it has %d bytes, want %d to %d", len(key), minSecret, maxSecret)
	case bytes.Count(key, key[:1]) == len(key):
		return errors.New("it is one byte repeated")
	}
	return nil
}

// decodedKey is how Standard Webhooks writes a secret: in base64, behind a
// prefix that may be missing.
func decodedKey(secret string) ([][]byte, error) {
	key, err := base64.StdEncoding.Strict().DecodeString(strings.TrimPrefix(secret, secretPrefix))
	if err != nil {
		return nil, errors.New(`it is not "whsec_" and base64`)
	}
	return [][]byte{key}, checkKey(key)
}

// literalKey is how Stripe takes its secrets: as the text that they are, the
// prefix included.
func literalKey(secret string) ([][]byte, error) {
	random, ok := strings.CutPrefix(secret, secretPrefix)
	if !ok {
		return nil, errors.New(`it does not begin with "whsec_"`) // an API key does not
	}
	return [][]byte{[]byte(secret)}, checkKey([]byte(random))
}

// eitherKey is for Polar, whose secrets are of both kinds: text, prefix
// included, when they were made before 8 September 2026, and base64 since. They
// look the same.
func eitherKey(secret string) ([][]byte, error) {
	random := secret
	for _, prefix := range []string{secretPrefix, "polar_whs_"} {
		random = strings.TrimPrefix(random, prefix)
	}
	if err := checkKey([]byte(random)); err != nil {
		return nil, err
	}
	keys := [][]byte{[]byte(secret)}
	if decoded, err := decodedKey(secret); err == nil {
		keys = append(keys, decoded...)
	}
	return keys, nil
}
