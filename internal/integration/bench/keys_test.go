package bench_test

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/keyhatch/keyhatch/apikey"
	"github.com/keyhatch/keyhatch/entitlement"
	"github.com/keyhatch/keyhatch/store"
)

// keysPerOwner is the default limit of keys per owner.
const keysPerOwner = 5

// newManager returns a Manager that ends with the benchmark; see [openManager].
func newManager(b *testing.B, st store.Store, room int, opts apikey.Options) *apikey.Manager {
	b.Helper()
	m := openManager(st, room, opts)
	b.Cleanup(func() { m.Close(context.Background()) })
	return m
}

// openManager returns a Manager whose cache has room for the given number of keys. No cached key
// expires during a benchmark, and owners may have any number of keys.
func openManager(st store.Store, room int, opts apikey.Options) *apikey.Manager {
	opts.CacheSize, opts.CacheTTL, opts.NegativeTTL, opts.MaxKeysPerOwner = room, time.Hour, time.Hour, -1
	return must(apikey.New(st, &opts))
}

// must returns v. It panics if err is not nil.
func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// create creates n keys and returns their tokens.
func create(m *apikey.Manager, n int) []string {
	tokens := make([]string, n)
	for i := range tokens {
		p := apikey.CreateParams{Owner: fmt.Sprint("owner ", i/keysPerOwner), Name: "key", Scopes: []string{"reports:read"}}
		tokens[i] = must(m.Create(context.Background(), p)).Secret.Reveal()
	}
	return tokens
}

// fill validates all tokens, so that they are cached.
func fill(m *apikey.Manager, tokens []string) {
	for _, token := range tokens {
		must(m.Validate(context.Background(), token))
	}
}

// pick returns n of the tokens at random. They lie beside each other in memory, since the
// token of a request has just been read too.
func pick(tokens []string, n int) []string {
	picked := make([]string, n)
	for i := range picked {
		picked[i] = strings.Clone(tokens[rand.IntN(len(tokens))])
	}
	return picked
}

// keyhatch returns the program whose i-th call validates the i-th token with the Manager.
func keyhatch(name string, m *apikey.Manager, tokens []string) program {
	return program{name: name, call: func(i int) error {
		_, err := m.Validate(context.Background(), tokens[i%len(tokens)])
		return err
	}}
}

// plans returns a provider of three plans.
func plans() entitlement.Provider {
	all := []entitlement.Entitlement{
		{Plan: "free", APIAccess: true, MaxKeys: -1, Scopes: []string{"reports:read"}},
		{Plan: "pro", APIAccess: true, MaxKeys: -1, Scopes: []string{"reports:*"}, ValidUntil: time.Now().Add(24 * time.Hour)},
		{Plan: "max", APIAccess: true, MaxKeys: -1, Scopes: []string{"*"}, ValidUntil: time.Now().Add(24 * time.Hour), Grace: time.Hour},
	}
	return entitlement.ProviderFunc(func(_ context.Context, owner string) (entitlement.Entitlement, error) {
		return all[(int(owner[len(owner)-1])+1)%len(all)], nil
	})
}

// nowhere is a store that discards records.
type nowhere struct{ store.Store }

func (nowhere) Insert(context.Context, store.Record, int) error { return nil }
func (nowhere) Touch(context.Context, []store.Use) error        { return nil }

// everywhere is a store that finds a key for every token, without storing any. The keys
// belong to the given number of owners.
type everywhere struct {
	nowhere
	owners uint64
}

func newEverywhere(keys int) everywhere { return everywhere{owners: uint64(max(keys/keysPerOwner, 1))} }

func (s everywhere) Lookup(_ context.Context, d store.Digest) (store.Record, error) {
	id, owner := hex.EncodeToString(d[:10]), binary.BigEndian.Uint64(d[:])%s.owners
	return store.Record{
		ID: "key_" + id, Owner: fmt.Sprintf("owner_%08d", owner), Name: "test", Hint: "key_" + id[:4],
		Digest: d, Scopes: []string{"reports:read"}, CreatedAt: time.Now(), LastUsedAt: time.Now(),
	}, nil
}
