package webhook

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"github.com/keyhatch/keyhatch/internal/text"
)

// The bounds of a secret's key, in bytes. Standard Webhooks allows 24 to 64; some
// billing systems have longer keys. With an empty key, anyone could sign.
const (
	minSecret  = 24
	maxSecret  = 256
	maxSecrets = 8
)

// secretPrefix begins the secrets of Standard Webhooks and Stripe, and polarPrefix
// those that Polar has created.
const (
	secretPrefix = "whsec_"
	polarPrefix  = "polar_whs_"
)

// keysOf reads secrets, each of which may stand for several keys. Its errors do
// not contain the secrets.
func keysOf(secrets []string, read func(secret string) ([][]byte, error)) ([][]byte, error) {
	if len(secrets) == 0 {
		return nil, errors.New("no secrets")
	}
	if len(secrets) > maxSecrets {
		return nil, fmt.Errorf("%d secrets, want at most %d", len(secrets), maxSecrets)
	}
	var keys [][]byte
	for i, secret := range secrets {
		if !text.IsVisibleASCII(secret) {
			return nil, fmt.Errorf("secret %d of %d: it contains a space, a line break or another character that is not printable ASCII", i+1, len(secrets))
		}
		some, err := read(secret)
		if err != nil {
			return nil, fmt.Errorf("secret %d of %d: %w", i+1, len(secrets), err)
		}
		keys = append(keys, some...)
	}
	return keys, nil
}

// checkKey returns an error for a key that can be guessed.
func checkKey(key []byte) error {
	switch {
	case len(key) < minSecret || len(key) > maxSecret:
		return fmt.Errorf("it has %d bytes, want %d to %d", len(key), minSecret, maxSecret)
	case bytes.Count(key, key[:1]) == len(key):
		return errors.New("it is one byte repeated")
	}
	return nil
}

// decodedKey reads a secret of Standard Webhooks: base64, after an optional
// prefix.
func decodedKey(secret string) ([][]byte, error) {
	key, err := base64.StdEncoding.Strict().DecodeString(strings.TrimPrefix(secret, secretPrefix))
	if err != nil {
		return nil, errors.New(`it is not base64 after an optional "whsec_"`)
	}
	return [][]byte{key}, checkKey(key)
}

// literalKey reads a secret of Stripe. The key is the whole secret, including
// the prefix.
func literalKey(secret string) ([][]byte, error) {
	random, ok := strings.CutPrefix(secret, secretPrefix)
	if !ok {
		return nil, errors.New(`it does not begin with "whsec_"`) // perhaps an API key
	}
	return [][]byte{[]byte(secret)}, checkKey([]byte(random))
}

// eitherKey reads a secret of Polar. For secrets created before 8 September
// 2026, the key is the whole secret, including the prefix. For newer ones, it
// is the decoded base64. The two look the same, so eitherKey returns both keys.
func eitherKey(secret string) ([][]byte, error) {
	random := secret
	for _, prefix := range []string{secretPrefix, polarPrefix} {
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
