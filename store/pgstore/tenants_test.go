package pgstore_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/keyhatch/keyhatch/apikey"
	"github.com/keyhatch/keyhatch/store/pgstore"
)

// C-15: 1,500 callers of one owner who rename one key do not slow down others.
// KEYHATCH_SOAK=1 compares the times.
func TestOneOwnerDoesNotSlowOthers(t *testing.T) {
	soak := os.Getenv("KEYHATCH_SOAK") != ""
	rounds := 20
	if soak {
		rounds = 1_000
	}
	dsn := shared(t)
	s := open(t, dsn, &pgstore.Options{Schema: newSchema(t, dsn)})
	opts := &apikey.Options{MaxKeysPerOwner: -1}
	m, cold := newManager(t, s, opts), newManager(t, s, opts)
	noisy := create(t, m, "noisy")
	var others []apikey.Issued
	for i := range 2 * rounds {
		others = append(others, create(t, m, fmt.Sprint("o", i)))
	}

	quiet := timeOthers(t, m, cold, others[:rounds])
	ctx, stop := context.WithCancel(t.Context())
	var renamed, refused atomic.Int64
	var callers sync.WaitGroup
	for i := range 1_500 {
		callers.Go(func() {
			name := fmt.Sprint("name ", i)
			for ctx.Err() == nil {
				switch _, err := m.Update(t.Context(), "noisy", noisy.Key.ID, apikey.UpdateParams{Name: &name}); {
				case err == nil:
					renamed.Add(1)
				case errors.Is(err, apikey.ErrLimited):
					refused.Add(1)
					time.Sleep(100 * time.Millisecond) // a client that heeds nothing, over a connection of its own
				default:
					t.Errorf("Update: %v", err)
				}
			}
		})
	}
	for refused.Load() < 1_498 {
		time.Sleep(time.Millisecond)
	}
	loud := timeOthers(t, m, cold, others[rounds:])
	stop()
	callers.Wait()

	t.Logf("%d renamed, %d refused; p99 of others: Revoke %v, beside the flood %v; cold look-up %v, beside the flood %v",
		renamed.Load(), refused.Load(), p99(quiet.revoke), p99(loud.revoke), p99(quiet.lookup), p99(loud.lookup))
	for what, times := range map[string][2][]time.Duration{
		"Revoke": {quiet.revoke, loud.revoke}, "cold look-up": {quiet.lookup, loud.lookup},
	} {
		most := 2 * time.Second
		if soak {
			most = 3 * p99(times[0])
		}
		if got := p99(times[1]); got > most {
			t.Errorf("%s of others beside the flood: p99 %v, want at most %v", what, got, most)
		}
	}
}

type otherTimes struct{ revoke, lookup []time.Duration }

// timeOthers looks up each key in a Manager that does not know it, then revokes it.
func timeOthers(t *testing.T, m, cold *apikey.Manager, keys []apikey.Issued) (times otherTimes) {
	t.Helper()
	for _, k := range keys {
		began := time.Now()
		if _, err := cold.Validate(t.Context(), k.Secret.Reveal()); err != nil {
			t.Errorf("Validate beside the flood: %v", err)
		}
		times.lookup = append(times.lookup, time.Since(began))
		began = time.Now()
		if _, err := m.Revoke(t.Context(), k.Key.Owner, k.Key.ID, ""); err != nil {
			t.Errorf("Revoke beside the flood: %v", err)
		}
		times.revoke = append(times.revoke, time.Since(began))
	}
	return times
}

func p99(d []time.Duration) time.Duration {
	d = slices.Sorted(slices.Values(d))
	return d[len(d)*99/100]
}

func newManager(t *testing.T, s *pgstore.Store, opts *apikey.Options) *apikey.Manager {
	t.Helper()
	m, err := apikey.New(s, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return m
}

func create(t *testing.T, m *apikey.Manager, owner string) apikey.Issued {
	t.Helper()
	issued, err := m.Create(t.Context(), apikey.CreateParams{Owner: owner, Name: "test"})
	if err != nil {
		t.Fatal(err)
	}
	return issued
}
