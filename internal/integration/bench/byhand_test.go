package bench_test

import (
	"crypto/sha256"
	"errors"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/maypok86/otter/v2"
)

// A record is what a program keeps of a key.
type record struct {
	owner            string
	scopes           []string
	revoked, expires time.Time
}

var errRefused = errors.New("refused")

// check returns whether the key of a record is active.
func (r *record) check() (*record, error) {
	if !r.revoked.IsZero() || !r.expires.IsZero() && !time.Now().Before(r.expires) {
		return nil, errRefused
	}
	return r, nil
}

// withLRU returns a validation with golang-lru, which holds the tokens.
func withLRU(tokens []string) (func(token string) error, error) {
	cache, err := lru.New[[sha256.Size]byte, *record](len(tokens))
	if err != nil {
		return nil, err
	}
	for _, token := range tokens {
		cache.Add(sha256.Sum256([]byte(token)), &record{owner: "o", scopes: []string{"reports:read"}})
	}
	return func(token string) error {
		r, ok := cache.Get(sha256.Sum256([]byte(token)))
		if !ok {
			return errRefused
		}
		_, err := r.check()
		return err
	}, nil
}

// withOtter returns a validation with otter, which holds the tokens.
func withOtter(tokens []string) (func(token string) error, error) {
	cache, err := otter.New(&otter.Options[[sha256.Size]byte, *record]{MaximumSize: len(tokens)})
	if err != nil {
		return nil, err
	}
	for _, token := range tokens {
		cache.Set(sha256.Sum256([]byte(token)), &record{owner: "o", scopes: []string{"reports:read"}})
	}
	cache.CleanUp()
	return func(token string) error {
		r, ok := cache.GetIfPresent(sha256.Sum256([]byte(token)))
		if !ok {
			return errRefused
		}
		_, err := r.check()
		return err
	}, nil
}
