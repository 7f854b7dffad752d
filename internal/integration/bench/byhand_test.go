package bench_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/maypok86/otter/v2"

	"github.com/keyhatch/keyhatch/store"
)

// A record is what a program by hand caches of a key.
type record struct {
	id, owner, name  string
	scopes           []string
	revoked, expires time.Time
}

var errRefused = errors.New("refused")

// check returns the record if its key is active, and errRefused otherwise.
func (r *record) check() (*record, error) {
	if !r.revoked.IsZero() || !r.expires.IsZero() && !time.Now().Before(r.expires) {
		return nil, errRefused
	}
	return r, nil
}

// A contender is a program by hand.
type contender struct {
	name string

	// new returns its validation, with a cache that holds the keys of the tokens. For a key that
	// the cache does not hold, the validation calls ask and does not cache the result.
	new func(tokens []string, ask func(store.Digest) (*record, error)) validation
}

// A validation returns the record of a token, or an error if the token is refused.
type validation func(token string) (*record, error)

var contenders = []contender{{"golang-lru", withLRU}, {"otter", withOtter}}

func withLRU(tokens []string, ask func(store.Digest) (*record, error)) validation {
	cache := must(lru.New[store.Digest, *record](len(tokens)))
	for _, token := range tokens {
		d := store.Digest(sha256.Sum256([]byte(token)))
		cache.Add(d, newRecord(d, len(tokens)))
	}
	return func(token string) (*record, error) {
		d := store.Digest(sha256.Sum256([]byte(token)))
		r, ok := cache.Get(d)
		if !ok {
			return ask(d)
		}
		return r.check()
	}
}

func withOtter(tokens []string, ask func(store.Digest) (*record, error)) validation {
	cache := must(otter.New(&otter.Options[store.Digest, *record]{MaximumSize: len(tokens)}))
	for _, token := range tokens {
		d := store.Digest(sha256.Sum256([]byte(token)))
		cache.Set(d, newRecord(d, len(tokens)))
	}
	cache.CleanUp()
	return func(token string) (*record, error) {
		d := store.Digest(sha256.Sum256([]byte(token)))
		r, ok := cache.GetIfPresent(d)
		if !ok {
			return ask(d)
		}
		return r.check()
	}
}

// newRecord returns the record of a key. Like a record from a database, it has its own strings.
func newRecord(d store.Digest, keys int) *record {
	return recordOf(must(newEverywhere(keys).Lookup(context.Background(), d)))
}

func recordOf(r store.Record) *record {
	return &record{id: r.ID, owner: r.Owner, name: r.Name, scopes: r.Scopes, revoked: r.RevokedAt, expires: r.ExpiresAt}
}

// refuse stands for a store that takes no time and has no key.
func refuse(store.Digest) (*record, error) { return nil, errRefused }

// byHand returns the program whose i-th call validates the i-th token, by hand.
func byHand(name string, validate validation, tokens []string) program {
	return program{name: name, call: func(i int) error {
		_, err := validate(tokens[i%len(tokens)])
		return err
	}}
}
