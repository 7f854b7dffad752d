package apikey_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/keyhatch/keyhatch/apikey"
	"github.com/keyhatch/keyhatch/store/memstore"
)

// coldValidations validates each token once and returns the number of look-ups in the
// shared cache.
func coldValidations(t *testing.T, m *apikey.Manager, shared *memoryShared, tokens []string) int64 {
	t.Helper()
	before := shared.gets.Load()
	for _, token := range tokens {
		if _, err := m.Validate(t.Context(), token); err != nil {
			t.Fatal(err)
		}
	}
	return shared.gets.Load() - before
}

// others is the number of look-ups that a Manager makes for the count of revocations.
const others = 2

// A shared cache that rarely has an entry gets at most 250 look-ups a second, so that it
// does not slow down a cold start. If its entries are found, every key is looked up.
func TestSharedIsUsedIfItHits(t *testing.T) {
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
		empty, full := &memoryShared{}, &memoryShared{}
		open := func(shared *memoryShared) *apikey.Manager {
			m, err := apikey.New(st, &apikey.Options{MaxKeysPerOwner: -1, SharedCache: shared})
			if err != nil {
				t.Fatal(err)
			}
			return m
		}

		// The first 64 look-ups find no entry.
		first := open(empty)
		defer first.Close(t.Context())
		if n := coldValidations(t, first, empty, tokens[:2000]); n < 64+250 || n > 64+250+others {
			t.Errorf("look-ups of 2,000 cold keys in an empty shared cache, first second: got %d, want 314", n)
		}
		time.Sleep(time.Second)
		if n := coldValidations(t, first, empty, tokens[2000:]); n < 250 || n > 250+others {
			t.Errorf("look-ups of 1,000 cold keys in the next second: got %d, want 250", n)
		}

		// Each Manager adds the missing entries, so the last one finds all.
		for range 12 {
			m := open(full)
			defer m.Close(t.Context())
			coldValidations(t, m, full, tokens)
		}
		last := open(full)
		defer last.Close(t.Context())
		if n := coldValidations(t, last, full, tokens); n < int64(len(tokens)) || n > int64(len(tokens))+others {
			t.Errorf("look-ups of %d cold keys in a shared cache that has most of them: got %d, want all", len(tokens), n)
		}
	})
}
