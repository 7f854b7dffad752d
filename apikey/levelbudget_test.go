package apikey_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/keyhatch/keyhatch/apikey"
	"github.com/keyhatch/keyhatch/store/memstore"
)

// coldValidations validates n keys, none twice, in a Manager of its own, and
// returns how many look-ups in the level it took.
func coldValidations(t *testing.T, m *apikey.Manager, level *memoryLevel, tokens []string) int64 {
	t.Helper()
	before := level.gets.Load()
	for _, token := range tokens {
		if _, err := m.Validate(t.Context(), token); err != nil {
			t.Fatal(err)
		}
	}
	return level.gets.Load() - before
}

// others is how many look-ups a Manager makes beside: for the count of
// revocations.
const others = 2

// A level that hardly ever has an entry is asked 500 times a second at most, so
// that it makes no cold start slower than the store alone. Once its entries are
// found, it is asked about every key.
func TestLevelIsAskedIfItPays(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		st := memstore.New()
		maker, err := apikey.New(st, &apikey.Options{MaxKeysPerOwner: -1})
		if err != nil {
			t.Fatal(err)
		}
		defer maker.Close(t.Context())
		tokens := make([]string, 3000)
		for i := range tokens {
			issued, err := maker.Create(t.Context(), apikey.CreateParams{Owner: "o", Name: "key"})
			if err != nil {
				t.Fatal(err)
			}
			tokens[i] = issued.Secret.Reveal()
		}
		empty, full := &memoryLevel{}, &memoryLevel{}
		open := func(level *memoryLevel) *apikey.Manager {
			m, err := apikey.New(st, &apikey.Options{MaxKeysPerOwner: -1, SharedCache: level})
			if err != nil {
				t.Fatal(err)
			}
			return m
		}

		// The first 64 show that nothing is there.
		first := open(empty)
		defer first.Close(t.Context())
		if n := coldValidations(t, first, empty, tokens[:2000]); n < 64+250 || n > 64+250+others {
			t.Errorf("of 2,000 cold keys in a second %d are looked up in an empty level, want 314", n)
		}
		time.Sleep(time.Second)
		if n := coldValidations(t, first, empty, tokens[2000:]); n < 250 || n > 250+others {
			t.Errorf("of 1,000 in the next second %d are, want 250", n)
		}

		// Each Manager fills what it finds missing; the last one finds all.
		for range 12 {
			m := open(full)
			defer m.Close(t.Context())
			coldValidations(t, m, full, tokens)
		}
		last := open(full)
		defer last.Close(t.Context())
		if n := coldValidations(t, last, full, tokens); n < int64(len(tokens)) || n > int64(len(tokens))+others {
			t.Errorf("of %d cold keys %d are looked up in a level that has most of them, want all", len(tokens), n)
		}
	})
}
